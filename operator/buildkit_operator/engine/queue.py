"""Work queue of keys to reconcile, with client-go's semantics: rate limited, deduplicated, never in two hands."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from buildkit_operator.engine.jitter import jittered

K = TypeVar("K", bound="Hashable")

FIRST_BACKOFF: Final = 0.5
"""Seconds before the first retry, doubled each time."""
LONGEST_BACKOFF: Final = 60.0
JITTER: Final = 0.2
"""Share by which backoffs differ."""


class WorkQueue(Generic[K]):
    """Keys to work on: each at most once in the queue, and never in two workers' hands.

    A key added while it is worked on comes back when that is done, so that no news is lost and none is handled twice.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._ready: deque[K] = deque()
        self._dirty: set[K] = set()
        self._processing: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._available = asyncio.Semaphore(0)

    def __len__(self) -> int:
        """Count the keys that wait for a worker."""
        return len(self._ready)

    def add(self, key: K) -> None:
        """Ask for work on a key now."""
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._processing:
            self._enqueue(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Ask for work on a key in a while. The earliest time asked for counts, and any earlier work serves it."""
        due = asyncio.get_running_loop().time() + seconds
        timer = self._timers.get(key)
        if timer is not None:
            if timer.when() <= due:
                return
            timer.cancel()
        self._timers[key] = asyncio.get_running_loop().call_at(due, self._time_is_up, key)

    def add_rate_limited(self, key: K, at_least: float = 0.0) -> float:
        """Ask for a retry after the key's next backoff, but not before `at_least` seconds; return the seconds."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        # The exponent is bounded before the power is taken: a key may fail for weeks.
        backoff = min(LONGEST_BACKOFF, FIRST_BACKOFF * (1 << min(failures, 10)))
        delay = max(at_least, jittered(backoff, JITTER))
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """Start the key's next backoff from the beginning, after it succeeded."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """Take the key that waits longest; `done` gives it back."""
        await self._available.acquire()
        key = self._ready.popleft()
        self._dirty.discard(key)
        self._processing.add(key)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        return key

    def done(self, key: K) -> None:
        """Say that the work on a key ended, well or badly."""
        self._processing.discard(key)
        if key in self._dirty:
            self._enqueue(key)

    def close(self) -> None:
        """Let nothing that was asked for later come up any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _enqueue(self, key: K) -> None:
        self._ready.append(key)
        self._available.release()

    def _time_is_up(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)
