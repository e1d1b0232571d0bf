"""What sets the number of daemons in the replayed day: the HorizontalPodAutoscaler does what Kubernetes documents."""

from dataclasses import replace

import pytest

from hack.bench.scalers import ByCPU, ByOperator, Scaler, Seen

QUIET = Seen(now=0, replicas=2, ready=2, runners=0, builds=0)


def settle(scaler: Scaler, seen: Seen, seconds: int, begin: int = 0) -> int:
    """Return the number of daemons after so many seconds in which as many builds run; all daemons are ready at once."""
    for second in range(begin, begin + seconds):
        wanted = scaler.replicas(replace(seen, now=second))
        seen = replace(seen, replicas=wanted, ready=wanted)
    return seen.replicas


@pytest.mark.parametrize(
    ("builds", "expected"),
    [(4, 2), (5, 3), (8, 4), (100, 6)],
    ids=["on-target", "above", "twice", "bounded"],
)
def test_it_wants_as_many_daemons_as_bring_their_use_to_the_target(builds: int, expected: int) -> None:
    assert settle(ByCPU(most=6, target=2), replace(QUIET, builds=builds), 301) == expected


def test_a_tenth_more_than_the_target_is_tolerated() -> None:
    assert settle(ByCPU(most=60, target=10), replace(QUIET, builds=21), 301) == 2
    assert settle(ByCPU(most=60, target=10), replace(QUIET, builds=23), 301) == 3


def test_fewer_come_only_after_five_minutes_in_which_no_more_were_recommended() -> None:
    scaler = ByCPU(most=6, target=2)
    busy = settle(scaler, replace(QUIET, builds=12), 61)
    still = replace(QUIET, replicas=busy, ready=busy)

    assert busy == 6
    assert settle(scaler, still, 290, begin=61) == 6
    assert settle(scaler, still, 60, begin=351) == 1


def test_it_looks_every_15_seconds() -> None:
    assert ByCPU(most=6, target=2).replicas(replace(QUIET, now=14, builds=12)) == 2


def test_daemons_that_are_not_ready_count_as_idle_when_more_are_wanted() -> None:
    assert ByCPU(most=9, target=2).replicas(Seen(now=15, replicas=6, ready=2, runners=0, builds=12)) == 6


def test_the_operator_decides_by_its_own_function_and_remembers_what_it_decided() -> None:
    scaler = ByOperator.of(4, minReplicas=0, maxReplicas=6, runnersPerReplica=4, idleSeconds=60)

    assert settle(scaler, replace(QUIET, replicas=0, ready=0, runners=5), 10) == 2
    assert settle(scaler, QUIET, 59, begin=10) == 2
    assert settle(scaler, QUIET, 2, begin=69) == 0
