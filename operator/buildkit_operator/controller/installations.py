"""Other installations of the operator: which of them is in charge of a builder, and whether it is still there.

The status of a builder names who wrote it, by the namespace and name of that installation's Lease. Another one that
serves the builder's namespace, too, leaves the builder alone for as long as that Lease lives: two that do not know of
each other would undo each other's work for ever.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.engine.leader_election import LEASE_SECONDS
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.errors import Forbidden
from buildkit_operator.kube.resources import LEASE, Manifest

GONE_SECONDS: Final = 3.0 * LEASE_SECONDS
"""After which an installation counts as gone: its Lease has not changed, or cannot be read, for so long."""
ASK_SECONDS: Final = 5.0
"""Between two looks at its Lease, however many builders it is in charge of."""
LONGEST_GAP_SECONDS: Final = 30.0
"""Between two looks from which anything follows: while the API server is away, no Lease changes."""

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


@dataclass
class _Seen:
    """What was last seen of an installation, by a clock that is never set."""

    lease: Manifest | None
    changed_at: float
    asked_at: float


class Installations:
    """This installation, and those that it meets in the status of builders."""

    def __init__(self, client: Client, own: str, clock: Callable[[], float]) -> None:
        """Be the installation `own`, as `namespace/name` of its Lease; `clock` gives seconds and never goes back."""
        self._client = client
        self.own = own
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    async def in_charge(self, resource: Manifest) -> str | None:
        """Return the other installation that is in charge of a builder; None where that is none, or none any more.

        Raises kube.errors.ApiError.
        """
        other = (resource.get("status") or {}).get("managedBy")
        if not other or other == self.own:
            return None
        return other if await self._serves(other, resource["metadata"]["namespace"]) else None

    async def _serves(self, other: str, namespace: str) -> bool:
        """Tell whether an installation lives and serves a namespace."""
        seen = await self._look(other)
        if self._clock() >= seen.changed_at + GONE_SECONDS:
            return False
        annotations = ((seen.lease or {}).get("metadata") or {}).get("annotations") or {}
        watched = annotations.get(names.WATCHED_ANNOTATION)
        # One that was told to serve other namespaces is in charge of this one no more.
        return not watched or namespace in watched.split(",")

    async def _look(self, other: str) -> _Seen:
        now, seen = self._clock(), self._seen.get(other)
        if seen is not None and now < seen.asked_at + ASK_SECONDS:
            return seen
        lease = await self._lease(other)
        if seen is None or lease != seen.lease or now > seen.asked_at + LONGEST_GAP_SECONDS:
            seen = self._seen[other] = _Seen(lease, now, now)
        seen.asked_at = now
        return seen

    async def _lease(self, other: str) -> Manifest | None:
        """Return an installation's Lease; None where there is none, or none that it lets others read."""
        namespace, _, name = other.partition("/")
        if not _NAME.fullmatch(namespace) or not _NAME.fullmatch(name):
            return None
        try:
            return await self._client.get(LEASE, namespace, name)
        except Forbidden:
            return None  # the Role that lets every ServiceAccount read it goes with the installation
