"""TTL cache of Secrets, which are read by name and never watched: what was read is kept for a minute at most."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import SECRET, Manifest

LONGEST_MEMORY: Final = 60.0
"""In seconds. A rollout reconciles its builder many times in a minute."""


class Secrets:
    """Reads Secrets by namespace and name."""

    def __init__(self, client: Client, clock: Callable[[], float], resync_seconds: float) -> None:
        """Read through `client`; `clock` gives seconds and never goes back.

        Nothing is remembered from one resync to the next, which is when a Secret that somebody deleted is missed.
        """
        self._client = client
        self._memory = min(LONGEST_MEMORY, resync_seconds / 2)
        self._clock = clock
        self._read: dict[tuple[str, str], tuple[float, str]] = {}

    async def get(self, namespace: str, name: str) -> Manifest | None:
        """Return a Secret as it was a short while ago, or None if there was none."""
        self._forget_old()
        key = (namespace, name)
        if key not in self._read:
            self.put(namespace, name, await self._client.get(SECRET, namespace, name))
        secret: Manifest | None = json.loads(self._read[key][1])
        return secret

    async def keys(self, namespace: str, name: str) -> frozenset[str] | None:
        """Return the keys that a user's Secret has now, or None if there is no such Secret. Its values are not kept."""
        secret = await self._client.get(SECRET, namespace, name)
        return None if secret is None else frozenset(secret.get("data") or {})

    def put(self, namespace: str, name: str, secret: Manifest | None) -> None:
        """Remember a Secret as the API server just returned it."""
        self.forget(namespace, name)
        # As JSON, which takes a fraction of the memory that the objects take.
        self._read[namespace, name] = (self._clock() + self._memory, json.dumps(secret))

    def forget(self, namespace: str, name: str) -> None:
        """Read a Secret anew the next time."""
        self._read.pop((namespace, name), None)

    def _forget_old(self) -> None:
        """Drop what is too old; entries stand in the order in which they were read."""
        now = self._clock()
        while self._read:
            oldest = next(iter(self._read))
            if self._read[oldest][0] > now:
                return
            del self._read[oldest]
