"""How many daemons are wanted: at once when more are needed, after a while when fewer are."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from buildkit_operator.desired.autoscaling import Demand, Scaling, Target, decide, last
from tests.unit.make import NOW, make_builder


def target(*, max_builds: int | None = None, **autoscaling: Any) -> Target:
    shared: dict[str, Any] = {"autoscaling": {"maxReplicas": 5, "minReplicas": 0, **autoscaling}}
    if max_builds is not None:
        shared["maxBuilds"] = max_builds
    wanted = Target.of(make_builder(shared=shared).shared)
    assert wanted is not None
    return wanted


TWO_EACH = target(runnersPerReplica=2, idleSeconds=300)
BY_BUILDS = target(buildsPerReplica=2, idleSeconds=300)


class Builder:
    """Decides as time goes on, with nothing remembered but the status."""

    def __init__(self, wanted: Target = TWO_EACH, current: int | None = None) -> None:
        self.wanted = wanted
        self.current = current
        self.status: dict[str, Any] = {}
        self.now = NOW

    def sees(self, runners: int, after: float = 0, builds: int | None = None) -> Scaling:
        self.now += timedelta(seconds=after)
        scaling = decide(self.wanted, Demand(runners, builds), self.current, self.status, self.now)
        self.status, self.current = scaling.status, scaling.replicas
        return scaling


def test_none_is_decided_for_a_builder_that_says_its_number() -> None:
    assert Target.of(make_builder(shared={"replicas": 3}).shared) is None


@pytest.mark.parametrize(("runners", "replicas"), [(0, 0), (1, 1), (2, 1), (3, 2), (10, 5), (11, 5), (1000, 5)])
def test_each_daemon_has_so_many_runner_pods_within_bounds(runners: int, replicas: int) -> None:
    assert Builder().sees(runners).replicas == replicas


@pytest.mark.parametrize(
    ("wanted", "replicas"),
    [(target(runnersPerReplica=3), 3), (target(max_builds=4), 2), (target(), 2), (target(max_builds=1), 5)],
)
def test_runner_pods_for_each_are_as_many_as_builds_may_run_unless_somebody_says(wanted: Target, replicas: int) -> None:
    assert Builder(wanted).sees(7).replicas == replicas


def test_a_runner_pod_wakes_a_daemon_at_once_and_says_why() -> None:
    builder = Builder(current=0)
    builder.sees(0)

    woken = builder.sees(3, after=5)

    assert woken.has_changed
    assert woken.status == {
        "desiredReplicas": 2,
        "lastScaleTime": "2026-11-24T12:00:05Z",
        "message": "From 0 to 2 daemons: 3 runner pods, 2 for each.",
    }


def test_what_bounds_keep_is_said() -> None:
    builder = Builder(current=0)

    assert (
        builder.sees(30).message
        == "From 0 to 5 daemons: 30 runner pods, 2 for each, which would be 15 without maxReplicas."
    )
    assert "1 runner pod, 2 for each" in Builder(target(minReplicas=3, runnersPerReplica=2), current=0).sees(1).message


def test_daemons_go_once_fewer_have_done_for_a_while() -> None:
    builder = Builder(current=3)
    builder.sees(6)

    waiting = builder.sees(1, after=10)
    assert (waiting.replicas, waiting.due) == (3, builder.now + timedelta(seconds=300))
    assert builder.sees(1, after=299).replicas == 3

    gone = builder.sees(1, after=1)
    assert gone.replicas == 1
    assert gone.message == ("From 3 to 1 daemon: no more were needed for 300 seconds; now 1 runner pod, 2 for each.")
    assert gone.due is None


def test_as_many_stay_as_were_needed_at_most_meanwhile() -> None:
    builder = Builder(current=4)
    for runners, after in ((8, 0), (1, 60), (5, 60), (0, 60)):
        builder.sees(runners, after)

    gone = builder.sees(0, after=180)
    assert gone.replicas == 3
    assert gone.due == builder.now + timedelta(seconds=300)
    assert builder.sees(0, after=299).replicas == 3
    assert builder.sees(0, after=1).replicas == 0


def test_a_burst_begins_the_time_anew() -> None:
    builder = Builder(current=2)
    for runners, after in ((0, 0), (4, 200), (0, 1)):
        builder.sees(runners, after)

    assert builder.sees(0, after=299).replicas == 2
    assert builder.sees(0, after=1).replicas == 0


def test_it_goes_on_where_another_process_ended() -> None:
    builder = Builder(current=2)
    builder.sees(0)
    other = Builder(current=2)
    other.status, other.now = builder.status, builder.now

    assert other.sees(0, after=300).replicas == 0


@pytest.mark.parametrize(("before", "after"), [(9, 5), (0, 1)])
def test_other_bounds_hold_at_once(before: int, after: int) -> None:
    builder = Builder(target(minReplicas=1, runnersPerReplica=2), current=before)

    assert builder.sees(before * 2).replicas == after


def test_a_number_of_before_autoscaling_is_kept_until_it_was_idle() -> None:
    builder = Builder(current=3)

    assert builder.sees(0).replicas == 3
    assert builder.sees(0, after=300).replicas == 0


def test_a_builder_that_is_new_begins_with_what_is_needed() -> None:
    begun = Builder().sees(0)

    assert (begun.replicas, begun.has_changed, begun.status) == (0, False, {"desiredReplicas": 0})


def test_without_a_time_to_be_idle_they_go_at_once() -> None:
    builder = Builder(target(runnersPerReplica=2, idleSeconds=0), current=2)

    assert builder.sees(0).replicas == 0


def test_a_clock_that_was_set_back_is_not_waited_for() -> None:
    builder = Builder(current=2)
    builder.sees(0)

    builder.sees(0, after=-86400)

    assert builder.sees(0, after=300).replicas == 0


@pytest.mark.parametrize(
    ("builds", "runners", "replicas"),
    [(0, 0, 0), (0, 7, 1), (1, 1, 1), (3, 1, 2), (4, 0, 2), (99, 0, 5), (None, 0, 2), (None, 7, 2)],
)
def test_by_builds_runner_pods_bring_the_first_daemon_alone(builds: int | None, runners: int, replicas: int) -> None:
    builder = Builder(target(buildsPerReplica=2, idleSeconds=0), current=2)

    assert builder.sees(runners, builds=builds).replicas == replicas


def test_by_builds_daemons_are_asked_again_and_again_while_there_are_any() -> None:
    builder = Builder(BY_BUILDS, current=0)

    assert builder.sees(0, builds=0).due is None
    assert builder.sees(1, builds=0).due == builder.now + timedelta(seconds=5)


def test_daemons_that_do_not_tell_are_none_the_fewer() -> None:
    builder = Builder(BY_BUILDS, current=3)
    builder.sees(1, builds=None)

    assert builder.sees(1, after=3600, builds=None).replicas == 3


def test_what_is_remembered_is_read_again() -> None:
    scaled = Builder(current=0).sees(3)

    assert last(scaled.status, 2).status == scaled.status
    assert scaled.last_scaled == datetime.fromisoformat("2026-11-24T12:00:00Z")
