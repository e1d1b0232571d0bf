"""The replayed day, and how it counts what comes of it."""

import pytest

from hack.bench.day import PLACES, START_SECONDS, Outcome, Strategy
from hack.bench.day import replay as replay_for
from hack.bench.recorded import Job
from hack.bench.recorded import day as recorded_day
from hack.bench.scalers import Fixed, Seen


class Script:
    """As many daemons as was written down, from given seconds on."""

    def __init__(self, steps: dict[int, int]) -> None:
        self.steps = steps

    def replicas(self, seen: Seen) -> int:
        return next(count for second, count in sorted(self.steps.items(), reverse=True) if seen.now >= second)


SECONDS = 4000
"""Of a day, in which all of it happens."""


def replay(jobs: list[Job], strategy: Strategy) -> Outcome:
    return replay_for(jobs, strategy, SECONDS)


def job(at: float, project: str = "one", warm: float = 100) -> Job:
    return Job(at=at, project=project, before=0, warm=warm, cold=50, after=0)


def test_the_day_is_the_same_each_time_and_has_its_bursts_and_its_night() -> None:
    jobs = recorded_day()
    by_hour = [sum(int(job.at // 3600) == hour for job in jobs) for hour in range(24)]

    assert jobs == recorded_day()
    assert max(by_hour) > 60
    assert by_hour[2] >= 24
    assert by_hour[4] == 0


def test_a_project_builds_cold_once_where_its_daemon_stays() -> None:
    outcome = replay([job(1000), job(2000), job(3000, "two")], Strategy("one", Fixed(1)))

    assert (outcome.cold, outcome.cold_seconds) == (2, 100)
    assert outcome.waits == [0, 0, 0]
    assert outcome.daemon_seconds == SECONDS


def test_who_finds_no_place_waits_for_one() -> None:
    outcome = replay([job(1000)] * PLACES + [job(1010)], Strategy("one", Fixed(1)))

    # All but the first hit its cache.
    assert outcome.waits == [0] * PLACES + [90]
    assert str(outcome) == "1.1 daemon-hours; 1 builds waited, 90 s, at most 90 s; 1 found a cold cache, 1 min more"


def test_full_daemons_pass_builds_on_to_one_with_a_cold_cache() -> None:
    outcome = replay([job(1000)] * (PLACES + 1), Strategy("two", Fixed(2)))

    assert outcome.waits == [0] * (PLACES + 1)
    assert outcome.cold == 2


def test_a_build_at_zero_daemons_waits_for_one_to_start() -> None:
    outcome = replay([job(1000)], Strategy("zero", Script({0: 0, 1000: 1})))

    assert outcome.waits == [START_SECONDS]
    assert outcome.daemon_seconds == SECONDS - 1000


def test_a_daemon_that_is_taken_away_ends_its_builds_first() -> None:
    outcome = replay([job(1000)], Strategy("drains", Script({0: 1, 1010: 0})))

    assert outcome.daemon_seconds == 1000 + 150


@pytest.mark.parametrize(("has_claims", "cold"), [(False, 2), (True, 1)])
def test_a_cache_comes_back_with_its_claim(cold: int, *, has_claims: bool) -> None:
    away = Strategy("away", Script({0: 1, 1500: 0, 1900: 1}), has_claims)

    assert replay([job(1000), job(2000)], away).cold == cold
