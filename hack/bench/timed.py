"""Builds that pods start at planned times, and when each was answered and ended. Pure: a script, and what it prints."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Final

_SCRIPT: Final = """\
cd /work/source
build() {{
  name=$1
  shift
  read -r came _ </proc/uptime
  {{ if "$@" 2>&1; then echo "status 0"; else echo "status 1"; fi; }} | {{
    IFS= read -r line
    read -r answered _ </proc/uptime
    {{ echo "$line"; cat; }} >"/work/$name.log"
    echo "$answered" >"/work/$name.answered"
  }}
  read -r ended _ </proc/uptime
  {{
    echo "== $name $zero $came $(cat "/work/$name.answered") $ended"
    cat "/work/$name.log"
  }} >"/work/$name.told"
}}
left=$(({start} - $(date +%s) - 1))
[ "$left" -le 0 ] || sleep "$left"
until [ "$(date +%s)" -ge {start} ]; do sleep 0.05; done
read -r zero _ </proc/uptime
{builds}
wait
for name in {names}; do cat "/work/$name.told"; done
"""


@dataclass(frozen=True)
class Planned:
    """A build that a pod is to start."""

    name: str
    at: float
    """Seconds after the start of all."""
    command: str
    """Words of the shell."""


@dataclass(frozen=True)
class Built:
    """A build that has ended. Its times are in seconds after the start of all."""

    name: str
    came: float
    answered: float
    """When a daemon had told the first of it."""
    ended: float
    log: str

    @property
    def waited(self) -> float:
        """Seconds until a daemon told the first of it."""
        return self.answered - self.came

    @property
    def is_lost(self) -> bool:
        """Tell whether it failed; all of them would succeed by themselves."""
        return not self.log.endswith("status 0\n")

    def printed(self, word: str) -> str | None:
        """Return what a step has printed behind a word; None where none was run that prints it."""
        found = re.search(rf"^#\d+ [\d.]+ {word} (.*)$", self.log, re.MULTILINE)
        return found and found[1]


def script(start: int, planned: Sequence[Planned], *, in_turn: bool = False) -> str:
    """Return what a pod runs from a second of the clock on, with its builds side by side or one after the other."""
    lines, before = [], 0.0
    for build in planned:
        if not in_turn:
            lines.append(f"sleep {build.at - before:.2f}")
            before = build.at
        lines.append(f"build {build.name} {build.command}{'' if in_turn else ' &'}")
    return _SCRIPT.format(start=start, builds="\n".join(lines), names=" ".join(build.name for build in planned))


def read(said: str) -> list[Built]:
    """Return the builds that a pod tells of."""
    heads = re.compile(r"^== (\S+) (\S+) (\S+) (\S+) (\S+)\n", re.MULTILINE)
    _, *parts = heads.split(said)
    built = []
    for name, zero, came, answered, ended, log in zip(*(parts[part::6] for part in range(6)), strict=True):
        since = [float(moment) - float(zero) for moment in (came, answered, ended)]
        built.append(Built(name, since[0], since[1], since[2], log))
    return built


@dataclass(frozen=True)
class Order:
    """How far those who waited were served in the order in which they came."""

    swapped: int
    """Pairs of which the later one was served before the other."""
    pairs: int
    farthest: int
    """Places by which somebody was served later, or earlier, than in the order of coming."""

    @classmethod
    def of(cls, builds: Iterable[Built]) -> "Order":
        """Read it off builds."""
        in_order = sorted(builds, key=lambda build: build.came)
        served = sorted(in_order, key=lambda build: build.answered)
        places = [served.index(build) for build in in_order]
        swapped = sum(later < place for number, place in enumerate(places) for later in places[number + 1 :])
        farthest = max((abs(place - number) for number, place in enumerate(places)), default=0)
        return cls(swapped, len(places) * (len(places) - 1) // 2, farthest)

    def __str__(self) -> str:
        return f"{self.swapped} of {self.pairs} pairs out of order, farthest by {self.farthest} places"


def mean_wait(builds: Iterable[Built]) -> float:
    """Return how long builds waited for their first answer on average, in seconds."""
    return mean(build.waited for build in builds)
