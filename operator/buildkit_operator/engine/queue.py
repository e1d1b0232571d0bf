"""Work queue of keys to reconcile, with client-go's semantics: rate limited, deduplicated, never in two hands."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from buildkit_operator.engine.jitter import jittered

K = TypeVar("K", bound="Hashable")

FIRST_BACKOFF: Final = 0.5
"""Seconds before the first retry, doubled each time."""
LONGEST_BACKOFF: Final = 60.0
JITTER: Final = 0.2
"""Share by which backoffs differ."""


@dataclass(slots=True)
class _Waiting(Generic[K]):
    """The keys of a group that wait."""

    keys: deque[K] = field(default_factory=deque)
    offered: int = 0
    """How many of them a worker may take now."""
    taken: int = 0
    """Keys of the group in workers' hands."""


class WorkQueue(Generic[K]):
    """Keys to work on: each at most once in the queue, and never in two workers' hands.

    A key added while it is worked on comes back when that is done, so that no news is lost and none is handled twice.
    Groups of keys take turns, so that one with thousands of them holds up no other. A key may have to rest between two
    turns of its own, so that one whose work is long and that changes all the time does not hold up others either.
    """

    def __init__(
        self,
        group: Callable[[K], Hashable] = lambda _key: None,
        most_of_a_group: float = float("inf"),
        rest: Callable[[K], float] = lambda _key: 0.0,
    ) -> None:
        """Start empty; `group` tells which keys take their turns together, for instance those of a namespace.

        No more than `most_of_a_group` of its keys are in workers' hands at once. `rest` tells the seconds that lie at
        least between the end of the work on a key and its next beginning.
        """
        self._group = group
        self._most_of_a_group = most_of_a_group
        self._rest = rest
        self._resting: dict[K, asyncio.TimerHandle] = {}
        self._ready: dict[Hashable, _Waiting[K]] = {}
        """Groups, the one whose turn it is first."""
        self._dirty: set[K] = set()
        self._processing: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._available = asyncio.Semaphore(0)

    def __len__(self) -> int:
        """Count the keys that wait for a worker."""
        return sum(len(waiting.keys) for waiting in self._ready.values())

    def add(self, key: K) -> None:
        """Ask for work on a key now."""
        if key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._processing and key not in self._resting:
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
        """Take the key that waits longest in the group whose turn it is; `done` gives it back."""
        await self._available.acquire()
        group = next(group for group, waiting in self._ready.items() if waiting.offered)
        waiting = self._ready.pop(group)
        self._ready[group] = waiting  # behind the others
        key = waiting.keys.popleft()
        waiting.offered -= 1
        waiting.taken += 1
        self._dirty.discard(key)
        self._processing.add(key)
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
        return key

    def done(self, key: K) -> None:
        """Say that the work on a key ended, well or badly."""
        self._processing.discard(key)
        group = self._group(key)
        self._ready[group].taken -= 1
        if seconds := self._rest(key):
            self._resting[key] = asyncio.get_running_loop().call_later(seconds, self._has_rested, key)
        elif key in self._dirty:
            self._enqueue(key)
        self._offer(group)

    def close(self) -> None:
        """Let nothing that was asked for later come up any more."""
        for timer in (*self._timers.values(), *self._resting.values()):
            timer.cancel()
        self._timers.clear()

    def _enqueue(self, key: K) -> None:
        group = self._group(key)
        self._ready.setdefault(group, _Waiting()).keys.append(key)
        self._offer(group)

    def _offer(self, group: Hashable) -> None:
        """Let workers take what they may of a group; forget one of which nothing waits and nothing is worked on."""
        waiting = self._ready[group]
        while waiting.offered < len(waiting.keys) and waiting.offered + waiting.taken < self._most_of_a_group:
            waiting.offered += 1
            self._available.release()
        if not waiting.keys and not waiting.taken:
            del self._ready[group]

    def _has_rested(self, key: K) -> None:
        del self._resting[key]
        if key in self._dirty:
            self._enqueue(key)

    def _time_is_up(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)
