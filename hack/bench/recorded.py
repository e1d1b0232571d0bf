"""A recorded day of CI: its jobs, with bursts in the working hours and a nightly run. Made by a fixed seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

DAY_SECONDS: Final = 24 * 3600
PROJECTS: Final = 24

PUSHES: Final = (0, 0, 0, 0, 0, 0, 1, 4, 14, 26, 30, 24, 10, 20, 30, 28, 24, 14, 6, 3, 2, 1, 1, 0)
"""Pushes an hour, from midnight on. Each starts a pipeline of one to three jobs that build."""

BURSTS: Final = ((9.5, 12), (11.25, 16), (14.0, 20), (16.5, 14))
"""Hours at which much is merged or updated at once, and how many pushes that is."""
BURST_SECONDS: Final = 240

NIGHTLY_HOUR: Final = 2
NIGHTLY_FACTOR: Final = 2.5
"""Every project is built, by a job that takes that much longer."""


@dataclass(frozen=True)
class Job:
    """A runner pod that builds once. Times are in seconds."""

    at: float
    """When its pod is created, after midnight."""
    project: str
    before: float
    """How long it does other things before its build."""
    warm: float
    """How long the build takes with a daemon that has built the project."""
    cold: float
    """How much longer with one that has not."""
    after: float
    """How long its pod lives on after the build."""


def day(seed: int = 16) -> list[Job]:
    """Return the jobs of the day in the order in which they come."""
    random = Random(seed)
    costs = [random.uniform(40, 240) for _ in range(PROJECTS)]
    return sorted(_jobs(random, costs), key=lambda job: job.at)


def _jobs(random: Random, costs: list[float]) -> Iterator[Job]:
    # A few projects have most of the pushes.
    weights = [1 / (rank + 1) for rank in range(PROJECTS)]
    for at in _pushes(random):
        (project,) = random.choices(range(PROJECTS), weights)
        for _ in range(random.choice((1, 1, 2, 3))):
            yield _job(random, at, project, costs[project])
    for project in range(PROJECTS):
        at = NIGHTLY_HOUR * 3600 + random.uniform(0, 60)
        yield _job(random, at, project, costs[project], NIGHTLY_FACTOR)


def _pushes(random: Random) -> Iterator[float]:
    for hour, count in enumerate(PUSHES):
        for _ in range(count):
            yield (hour + random.random()) * 3600
    for begin, count in BURSTS:
        for _ in range(count):
            yield begin * 3600 + random.uniform(0, BURST_SECONDS)


def _job(random: Random, at: float, project: int, cold: float, factor: float = 1) -> Job:
    return Job(
        at=at,
        project=f"project-{project}",
        before=random.uniform(5, 60),
        warm=min(random.lognormvariate(4.2, 0.7), 900) * factor,
        cold=cold,
        after=random.uniform(5, 120),
    )
