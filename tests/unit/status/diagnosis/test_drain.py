"""A daemon that was told to stop and cannot finish its builds in time is told of, once its time is over."""

from datetime import UTC, datetime, timedelta

from buildkit_operator.api.reasons import Reason
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status.diagnosis import drain

KILLED_AT = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
OVERDUE = KILLED_AT - timedelta(seconds=24)
IN_TIME = KILLED_AT - timedelta(seconds=40)


def pod(*, stopping: bool = True, running: bool = True) -> Manifest:
    state = {"running": {}} if running else {"terminated": {"exitCode": 0}}
    metadata = {"name": "team-buildkitd-1"} | ({"deletionTimestamp": "2026-01-01T12:00:00Z"} if stopping else {})
    return {"metadata": metadata, "status": {"containerStatuses": [{"name": "buildkitd", "state": state}]}}


def test_a_daemon_that_is_still_busy_after_its_time() -> None:
    stuck = pod()

    ((told, finding),) = drain.cut_short([stuck, pod(stopping=False)], OVERDUE)

    assert told is stuck
    assert finding.reason is Reason.DRAIN_TIMED_OUT
    assert "team-buildkitd-1" in finding.message
    assert "spec.shared.drainTimeoutSeconds" in finding.message


def test_nothing_is_said_before_or_of_one_that_has_ended() -> None:
    assert not list(drain.cut_short([pod()], IN_TIME))
    assert not list(drain.cut_short([pod(running=False)], OVERDUE))


def test_it_is_looked_at_when_its_time_is_over() -> None:
    seconds = drain.until_next_deadline([pod(), pod(stopping=False)], IN_TIME)

    assert seconds == 15
    assert list(drain.cut_short([pod()], IN_TIME + timedelta(seconds=seconds)))


def test_no_look_is_due_for_those_that_run_on_or_were_told_of() -> None:
    assert drain.until_next_deadline([pod(stopping=False), pod(running=False)], IN_TIME) is None
    assert drain.until_next_deadline([pod()], OVERDUE) is None
