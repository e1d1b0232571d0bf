"""The API server's clock, by which all that has a date is decided: a machine's own may be wrong, and may leap."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

WRONG: Final = timedelta(minutes=1)
"""From which difference on an admin is told: certificates have minutes to spare, and tokens seconds."""

logger = logging.getLogger(__name__)


def steady_seconds() -> float:
    """Return seconds by a clock that nobody sets, and that runs on while the machine is suspended."""
    # Linux' CLOCK_MONOTONIC stands still meanwhile; elsewhere, where developers are, there is no other.
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class ServerClock:
    """Tells the API server's time from the `Date` of its answers (RFC 9110, 6.6.1), and its own until the first."""

    def __init__(self, local: Callable[[], float] = time.time, steady: Callable[[], float] = steady_seconds) -> None:
        """Take this machine's clock, in seconds of Unix time, and one that nobody sets."""
        self._local = local
        self._steady = steady
        self._offset = local() - steady()
        self._is_wrong = False

    def now(self) -> datetime:
        """Return the API server's time: between two answers by a clock that does not leap."""
        return datetime.fromtimestamp(self._estimate(), UTC)

    def local(self) -> datetime:
        """Return the time that this machine's clock shows."""
        return datetime.fromtimestamp(self._local(), UTC)

    def skew_seconds(self) -> float:
        """Return by how much this machine's clock is ahead of the API server's; negative where it is behind."""
        return self._local() - self._estimate()

    def earliest(self) -> datetime:
        """Return the earlier of both, for what cannot be undone: it is done when both say that its time has come."""
        return min(self.now(), self.local())

    def asked(self) -> float:
        """Return what `answered` wants to know of the moment at which a request is sent."""
        return self._steady()

    def answered(self, asked: float, date: str | None) -> None:
        """Learn from an answer's Date, which the server wrote in whole seconds, after it was asked and before now."""
        try:
            earliest = _seconds(date or "")
        except (ValueError, OverflowError):
            return
        latest = earliest + 1 + self._steady() - asked
        estimate = self._estimate()
        self._offset += min(max(estimate, earliest), latest) - estimate
        self._tell()

    def _estimate(self) -> float:
        return self._offset + self._steady()

    def _tell(self) -> None:
        """Log that this machine's clock goes wrong, or right again."""
        skew = timedelta(seconds=self.skew_seconds())
        if (abs(skew) > WRONG) == self._is_wrong:
            return
        self._is_wrong = not self._is_wrong
        if not self._is_wrong:
            logger.info("This machine's clock agrees with the API server's again.")
            return
        logger.warning(
            "This machine's clock is %s %s the API server's, which is gone by: %s here, %s there. Synchronize the "
            "node's clock.",
            timedelta(seconds=round(abs(skew).total_seconds())),
            "ahead of" if skew > timedelta(0) else "behind",
            self.local().isoformat(timespec="seconds"),
            self.now().isoformat(timespec="seconds"),
        )


@lru_cache(maxsize=8)
def _seconds(date: str) -> float:
    """Return an HTTP date in seconds since 1970; hundreds of answers have the same one. Raises ValueError."""
    return parsedate_to_datetime(date).timestamp()
