"""Rate limiter per key: keeps what may happen often from happening too often."""

from __future__ import annotations

from collections.abc import Callable

from buildkit_operator.kube.resources import Key


class RateLimiter:
    """Lets something pass once in an interval, for each key."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        """Take the interval; `clock` gives seconds and never goes back."""
        self._seconds = seconds
        self._clock = clock
        self._next: dict[Key, float] = {}

    def pause(self, key: Key) -> float:
        """Return the seconds to wait until it may pass again; 0 when it may now, which begins a new interval."""
        now = self._clock()
        left = self._next.get(key, now) - now
        if left > 0:
            return left
        self._next[key] = now + self._seconds
        return 0.0

    def forget(self, key: Key) -> None:
        """Drop what is remembered of an object that is gone."""
        self._next.pop(key, None)
