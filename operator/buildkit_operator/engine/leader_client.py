"""Leader-only client: its writes are fenced by the leader election, and the informer cache learns from each answer.

A write has what is left of the leadership for a timeout, here and, as it is told, in the API server: it cannot land
later, when another replica may have decided otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import aiohttp

from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.kinds import Kinds
from buildkit_operator.engine.leader_election import LeaderElection, NotLeader
from buildkit_operator.kube.auth import Connection
from buildkit_operator.kube.client import REQUEST_TIMEOUT, Client
from buildkit_operator.kube.resources import Key, Manifest

if TYPE_CHECKING:
    from aiohttp.client_middlewares import ClientHandlerType, ClientMiddlewareType


class LeaderOnlyClient(Client):
    """A client whose writing methods raise NotLeader unless this replica is the leader."""

    def __init__(
        self,
        connection: Connection,
        *,
        field_manager: str,
        kinds: Kinds,
        cache: Cache,
        election: LeaderElection,
        enqueue: Callable[[Key], None],
    ) -> None:
        """Write while `election` has this replica lead; `enqueue` is called for a primary object that has changed."""
        super().__init__(connection, field_manager=field_manager, resources=(kinds.primary,))
        self._kinds = kinds
        self._cache = cache
        self._election = election
        self._enqueue = enqueue

    async def apply(self, manifest: Manifest) -> Manifest:
        """Apply while leading, see Client.apply."""
        return self._update_cache(await super().apply(manifest))

    async def apply_new(self, manifest: Manifest) -> Manifest:
        """Create while leading, see Client.apply_new."""
        return self._update_cache(await super().apply_new(manifest))

    async def merge(self, manifest: Manifest) -> Manifest:
        """Change what is there while leading, see Client.merge."""
        return self._update_cache(await super().merge(manifest))

    async def apply_status(self, manifest: Manifest) -> Manifest:
        """Apply the status while leading, see Client.apply_status."""
        return self._update_cache(await super().apply_status(manifest))

    async def create(self, manifest: Manifest) -> Manifest:
        """Create while leading, see Client.create."""
        return self._update_cache(await super().create(manifest))

    async def replace(self, manifest: Manifest) -> Manifest:
        """Replace while leading, see Client.replace."""
        return self._update_cache(await super().replace(manifest))

    def _timeout_of(self, method: str) -> aiohttp.ClientTimeout:
        """Return, for a write, what is left of the leadership. Raises NotLeader where that is nothing."""
        if method == "GET":
            return super()._timeout_of(method)
        left = self._election.seconds_left()
        if not self._election.is_leader() or left <= 0:
            raise NotLeader
        return aiohttp.ClientTimeout(
            total=min(REQUEST_TIMEOUT.total or left, left), sock_connect=REQUEST_TIMEOUT.sock_connect
        )

    def _middlewares(self) -> Sequence[ClientMiddlewareType]:
        return (self._fence,)

    async def _fence(self, request: aiohttp.ClientRequest, send: ClientHandlerType) -> aiohttp.ClientResponse:
        """Look again just before a write is sent: the process may have been stopped since, and its timers with it."""
        if request.method != "GET" and not self._election.is_leader():
            raise NotLeader
        return await send(request)

    def _update_cache(self, answer: Manifest) -> Manifest:
        resource = self.resource_of(answer)
        if resource in self._kinds.all:
            if resource == self._kinds.primary:
                self._enqueue_new_generation(answer)
            concerned = self._cache.put(resource, answer)
            if resource == self._kinds.primary:
                # Those that refer to it hear of its new status from nobody else.
                for key in concerned - {_key(answer)}:
                    self._enqueue(key)
        return answer

    def _enqueue_new_generation(self, answer: Manifest) -> None:
        """Enqueue a primary object whose spec changed just before our write.

        The answer shows the new spec, and the cache drops the watch's event about it as known already.
        """
        key, metadata = _key(answer), answer["metadata"]
        known = self._cache.get(self._kinds.primary, *key)
        if known is None or known["metadata"]["generation"] != metadata["generation"]:
            self._enqueue(key)


def _key(manifest: Manifest) -> Key:
    return manifest["metadata"]["namespace"], manifest["metadata"]["name"]
