"""Turns: how many daemons are asked at one time, and how many of one namespace, whose daemons may all be slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from weakref import WeakValueDictionary

SHARE: Final = 4
"""A namespace has a quarter of the turns."""


class Turns:
    """The turns of one namespace: each takes one of its own, then one of all. Its queue holds none of the latter."""

    def __init__(self, own: asyncio.Semaphore, of_all: asyncio.Semaphore) -> None:
        """Take turns from both."""
        self._own = own
        self._of_all = of_all

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Have a turn for the length of the block."""
        async with self._own, self._of_all:
            yield


class SharedTurns:
    """So many turns for all namespaces, of which one has a share at most."""

    def __init__(self, most: int) -> None:
        """Let so many be asked at one time; two at least, so that one namespace never has them all."""
        self._of_all = asyncio.Semaphore(max(2, most))
        self._share = max(1, most // SHARE)
        self._namespaces: WeakValueDictionary[str, Turns] = WeakValueDictionary()

    def of(self, namespace: str) -> Turns:
        """Return the turns of a namespace, which are forgotten with their last user."""
        turns = self._namespaces.get(namespace)
        if turns is None:
            turns = self._namespaces[namespace] = Turns(asyncio.Semaphore(self._share), self._of_all)
        return turns


class ScrapeLimits:
    """How many daemons are asked at one time. DiskUsage has a limit of its own: it can take a minute."""

    def __init__(self, concurrency: int) -> None:
        """Let this many be asked how busy they are, and a quarter as many what their caches hold."""
        self.activity = SharedTurns(concurrency)
        self.disk_usage = SharedTurns(concurrency // 4)
