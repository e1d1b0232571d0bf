"""How builds ended, from what their clients print: well, failed as their daemon was killed, or lost."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

_LINE: Final = re.compile(r"^(started|finished|failed) (\d+) (\d+)(?:: ?(.*))?$", re.MULTILINE)

EXCUSED_SECONDS: Final = 60
"""How long after its daemon was killed a build may take to fail: its client may wait for another daemon meanwhile."""


RESTARTED_SECONDS: Final = 30
"""How long it may take until a job's own daemon that was killed answers again: no other one takes its builds."""


@dataclass(frozen=True)
class Kill:
    """A daemon that was killed: each build that ran on its builder then may have been on it."""

    builder: str
    second: int
    """When, as the cluster's clocks have it, in seconds since 1970."""
    client: str | None = None
    """The pod that it served alone, in mode Sidecar."""


@dataclass(frozen=True)
class Build:
    """A build that a client began."""

    builder: str
    client: str
    started: int
    """Seconds since 1970, like the next one."""
    ended: int | None = None
    """None while it runs."""
    words: str | None = None
    """What its client said at last; None where it went well."""

    @property
    def is_failed(self) -> bool:
        """Tell whether it ended and not well."""
        return self.words is not None

    def is_excused_by(self, kill: Kill) -> bool:
        """Tell whether it may have failed because of this kill."""
        if self.builder != kill.builder or self.ended is None or kill.client not in (None, self.client):
            return False
        away = RESTARTED_SECONDS if kill.client else 1
        return self.started <= kill.second + away and kill.second - 1 <= self.ended <= kill.second + EXCUSED_SECONDS


def builds_of(builder: str, client: str, log: str) -> list[Build]:
    """Return the builds that a client's log tells of."""
    found: dict[str, Build] = {}
    for word, number, second, words in _LINE.findall(log):
        if word == "started":
            found[number] = Build(builder, client, int(second))
        else:
            said = words if word == "failed" else None
            found[number] = Build(builder, client, found[number].started, int(second), said)
    return list(found.values())


@dataclass
class Tally:
    """How all builds went, of which some may still run."""

    started: int = 0
    finished: int = 0
    running: int = 0
    killed: list[Build] = field(default_factory=list)
    """Failed, and their daemon may have been killed."""
    lost: list[Build] = field(default_factory=list)
    """Failed otherwise."""
    seconds: list[float] = field(default_factory=list)
    """What those took that ended well."""

    @classmethod
    def of(cls, builds: Iterable[Build], kills: Sequence[Kill]) -> "Tally":
        """Count them."""
        tally = cls()
        for build in builds:
            tally.started += 1
            if build.ended is None:
                tally.running += 1
            elif not build.is_failed:
                tally.finished += 1
                tally.seconds.append(build.ended - build.started)
            elif any(build.is_excused_by(kill) for kill in kills):
                tally.killed.append(build)
            else:
                tally.lost.append(build)
        return tally

    @property
    def without_words(self) -> int:
        """How many failed and did not say why."""
        return sum(not build.words for build in (*self.killed, *self.lost))
