"""TTL cache of the objects of one kind that are read by name: for kinds that may not be listed, or need not exist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from buildkit_operator.engine.cache import pack, unpack
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import Manifest, Resource

MAX_BYTES: Final = 128 * 1024
"""Longest object that is remembered; what others make longer is read anew each time."""
LONGEST_SHORT_TTL: Final = 60.0
"""In seconds. A rollout reconciles its builder many times in a minute."""


def short_ttl(resync_seconds: float) -> float:
    """Return for how many seconds an object is remembered that others may change or delete.

    Nothing is remembered from one resync to the next, which is when one that somebody deleted is missed.
    """
    return min(LONGEST_SHORT_TTL, resync_seconds / 2)


def until_resync(resync_seconds: float) -> float:
    """Return for how many seconds an object is remembered that is asked for again once in a resync."""
    return resync_seconds


class NamedObjects:
    """Reads objects of one kind by name, and remembers each, or that there is none, for a while."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        clock: Callable[[], float],
        ttl_seconds: float,
        *,
        optional: bool = False,
    ) -> None:
        """Read through `client`; `clock` gives seconds and never goes back.

        `optional` says that the kind's CRD need not be installed: where it is not, nothing is asked for by name.
        """
        self._client = client
        self._resource = resource
        self._clock = clock
        self._ttl_seconds = ttl_seconds
        self._optional = optional
        self._served_until = 0.0
        self._served = False
        self._read: dict[tuple[str, str], tuple[float, bytes | None]] = {}

    async def get(self, namespace: str, name: str) -> Manifest | None:
        """Return an object as it was a short while ago, or None if there was none. Raises kube.errors.ApiError."""
        self._forget_old()
        key = (namespace, name)
        if key not in self._read:
            if self._optional and not await self._is_served():
                return None
            found = await self._client.get(self._resource, namespace, name)
            self.put(namespace, name, found)
            if key not in self._read:  # it is too long
                return found
        packed = self._read[key][1]
        return None if packed is None else unpack(packed)

    def put(self, namespace: str, name: str, manifest: Manifest | None) -> None:
        """Remember an object as the API server just returned it."""
        self.forget(namespace, name)
        if manifest is not None:
            self._note_served(served=True)
        packed = None if manifest is None else pack(manifest)
        if packed is None or len(packed) <= MAX_BYTES:
            self._read[namespace, name] = (self._clock() + self._ttl_seconds, packed)

    def forget(self, namespace: str, name: str) -> None:
        """Read an object anew the next time."""
        self._read.pop((namespace, name), None)

    async def _is_served(self) -> bool:
        """Tell whether the API server knows the kind, as it was a short while ago."""
        if self._served_until <= self._clock():
            self._note_served(served=await self._client.serves(self._resource))
        return self._served

    def _note_served(self, *, served: bool) -> None:
        self._served, self._served_until = served, self._clock() + self._ttl_seconds

    def _forget_old(self) -> None:
        """Drop what is too old; entries stand in the order in which they were read."""
        now = self._clock()
        while self._read:
            oldest = next(iter(self._read))
            if self._read[oldest][0] > now:
                return
            del self._read[oldest]
