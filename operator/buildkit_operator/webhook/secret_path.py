"""The path that the API server asks at, which nobody else knows: so nobody else gets an answer.

An API server shows no certificate to webhooks by default, and any pod can reach our port. What only the API server and
administrators have is our configuration, and in it the path. Others are told it in one case: who makes a pod while no
replica can be reached sees it in the error. So it changes each hour, and every replica can tell by the CA's key, which
all of them have, whether a path is of this hour or of one beside it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Final

PERIOD_SECONDS: Final = 3600

LEARN_SECONDS: Final = 2.0
"""How long a path may be unknown, in seconds: another replica may have made a new CA, and told the API server first."""

_MEANING: Final = "path of the webhook"
"""What is made of the key, so that nothing else that is made of it will be the same."""


class SecretPaths:
    """What a replica takes for the API server's path."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        """Go by the time that `now` gives; nothing is taken before a key is known."""
        self._now = now
        self._keys: deque[bytes] = deque(maxlen=2)
        """Of the newest CA, and of the one before: an API server may not have heard of a new one yet."""
        self._learned = asyncio.Event()
        self._known: tuple[bytes, ...] = ()
        """What begins a path that is taken, made of these keys for the period `_known_in`."""
        self._known_in: int | None = None

    def learn(self, key: bytes) -> None:
        """Take note of the key of the newest CA."""
        if not self._keys or self._keys[0] != key:
            self._keys.appendleft(key)
            self._known_in = None
            self._learned.set()
            self._learned = asyncio.Event()

    def current(self) -> str:
        """Return the first part of the path that the API server shall ask at now. Raises IndexError before a key."""
        return _path(self._keys[0], self._period())

    def seconds_left(self) -> float:
        """Return the seconds until there is another."""
        return PERIOD_SECONDS - self._now().timestamp() % PERIOD_SECONDS

    def knows(self, path: str) -> bool:
        """Tell whether a request's path begins with one that an API server may use."""
        period = self._period()
        if period != self._known_in:  # once an hour: it takes longer than all else that is asked of a request
            self._known = tuple(_path(key, period + beside).encode() for key in self._keys for beside in (0, -1, 1))
            self._known_in = period
        given = [said.encode() for said in path.split("/", 2)[1:2]]
        return any(hmac.compare_digest(one, said) for said in given for one in self._known)

    async def knows_soon(self, path: str) -> bool:
        """Tell the same of a path that may be made of a key which this replica has yet to learn."""
        if self.knows(path):
            return True
        with suppress(TimeoutError):
            async with asyncio.timeout(LEARN_SECONDS):
                while not self.knows(path):
                    await self._learned.wait()
        return self.knows(path)

    def _period(self) -> int:
        return int(self._now().timestamp() // PERIOD_SECONDS)


def _path(key: bytes, period: int) -> str:
    return hmac.new(key, f"{_MEANING} {period}".encode(), hashlib.sha256).hexdigest()
