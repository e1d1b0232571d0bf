"""A day's mix of builds in small: projects of which some are busy, in bursts. Pure, and the same each time."""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Final

from hack.bench.timed import Built

PROJECTS: Final = {"anvil": 18, "birch": 18, "cedar": 6, "delta": 6, "ember": 6, "flint": 6}
"""Projects, by how many builds they have: two of them are busy."""

BURSTS: Final = 6
EVERY_SECONDS: Final = 15.0
"""From the begin of one burst to the next."""
WITHIN_SECONDS: Final = 4.0
"""In which a burst's builds come."""

_WORK: Final = "i=0; while [ $i -lt {rounds} ]; do i=$((i + 1)); done"
DEPENDENCIES: Final = "dependencies"
"""What the first step prints where it is run, before something that no other run prints."""


def dockerfile(base: str, heavy: int, light: int) -> str:
    """Return a Dockerfile whose first step each daemon has to run once for a project, and whose second one always runs.

    They compute for so many rounds of a shell's loop: a cold cache costs the first.
    """
    return (
        f"FROM {base}\n"
        "ARG PROJECT\n"
        f'RUN echo "{DEPENDENCIES} $PROJECT $(cat /proc/sys/kernel/random/uuid)"; {_WORK.format(rounds=heavy)}\n'
        "ARG SALT\n"
        f'RUN {_WORK.format(rounds=light)}; echo "built $SALT"\n'
    )


@dataclass(frozen=True)
class Arrival:
    """A build that a project's pipeline starts."""

    project: str
    at: float
    """Seconds after the start."""


def arrivals(seed: int = 1) -> list[Arrival]:
    """Return the builds of the mix in the order in which they come."""
    random = Random(seed)
    projects = [project for project, builds in PROJECTS.items() for _ in range(builds)]
    random.shuffle(projects)
    each = -(-len(projects) // BURSTS)
    coming = [
        Arrival(project, number // each * EVERY_SECONDS + random.uniform(0, WITHIN_SECONDS))
        for number, project in enumerate(projects)
    ]
    return sorted(coming, key=lambda arrival: arrival.at)


def cold(builds: Iterable[Built]) -> int:
    """Return how many times a daemon ran the first step. Builds that came meanwhile took part in that run."""
    return len({run for build in builds if (run := build.printed(DEPENDENCIES)) is not None})
