"""Leader-only client: its writes are fenced by the leader election, and the informer cache learns from each answer."""

from __future__ import annotations

from collections.abc import Callable

from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.kinds import Kinds
from buildkit_operator.engine.leader_election import LeaderElection, NotLeader
from buildkit_operator.kube.auth import Connection
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import Key, Manifest, Resource


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
        self._check()
        return self._update_cache(await super().apply(manifest))

    async def apply_new(self, manifest: Manifest) -> Manifest:
        """Create while leading, see Client.apply_new."""
        self._check()
        return self._update_cache(await super().apply_new(manifest))

    async def apply_status(self, manifest: Manifest) -> Manifest:
        """Apply the status while leading, see Client.apply_status."""
        self._check()
        return self._update_cache(await super().apply_status(manifest))

    async def create(self, manifest: Manifest) -> Manifest:
        """Create while leading, see Client.create."""
        self._check()
        return self._update_cache(await super().create(manifest))

    async def replace(self, manifest: Manifest) -> Manifest:
        """Replace while leading, see Client.replace."""
        self._check()
        return self._update_cache(await super().replace(manifest))

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> None:
        """Delete while leading, see Client.delete. The cache hears of it from the watch."""
        self._check()
        await super().delete(resource, namespace, name, uid=uid, resource_version=resource_version)

    def _check(self) -> None:
        if not self._election.is_leader():
            raise NotLeader

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
