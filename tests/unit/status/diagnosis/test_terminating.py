"""Pods that should have gone, or that nobody hears of, are named with what holds them and what to do."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from buildkit_operator.api.reasons import Reason
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status import DaemonsObserved, judge
from buildkit_operator.status.diagnosis import terminating
from tests.unit.make import make_builder, make_deployment, make_pod, make_stateful_set

GONE_AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LATER = GONE_AT + timedelta(seconds=31)
CLAIMS: Manifest = {"cache": {"persistentVolumeClaim": {"storageClassName": "fast"}}}


def pod(
    *, deleted: bool = True, spec: Manifest | None = None, finalizers: list[str] | None = None, **status: Any
) -> Manifest:
    made = make_pod("demo-buildkitd-0", **status)
    if deleted:
        made["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    if finalizers:
        made["metadata"]["finalizers"] = finalizers
    return {**made, "spec": {"nodeName": "worker-2", **(spec or {})}}


def lost(**more: Any) -> Manifest:
    """Return a pod as the node controller leaves it: the kubelet would have written both conditions."""
    conditions = [{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "True"}]
    running = [{"name": "buildkitd", "ready": True, "started": True, "state": {"running": {}}}]
    return pod(conditions=conditions, containerStatuses=running, phase="Running", **more)


def found(seen: Manifest, now: datetime = LATER) -> tuple[Reason, str] | None:
    finding = next(terminating.findings([seen], now), None)
    return None if finding is None else (finding.reason, finding.message)


def test_a_finalizer_that_holds_a_pod_is_named_with_the_command() -> None:
    said = found(pod(finalizers=["example.dev/hold"]))

    assert said is not None
    assert said[0] is Reason.TERMINATION_STUCK
    for words in ("Pod demo-buildkitd-0 on node worker-2", "finalizer example.dev/hold", "kubectl patch pod"):
        assert words in said[1]


def test_a_pod_that_its_node_does_not_end_is_named_with_where_to_look() -> None:
    said = found(pod())

    assert said is not None
    assert said[0] is Reason.TERMINATION_STUCK
    assert "kubectl describe node/worker-2" in said[1]
    assert "--force" in said[1]


def test_one_whose_containers_have_ended_need_not_be_waited_for_to_the_end_of_its_grace_period() -> None:
    ended = {"terminated": {"exitCode": 0, "finishedAt": "2026-11-24T11:45:00Z"}}
    held = pod(finalizers=["example.dev/hold"], containerStatuses=[{"name": "buildkitd", "state": ended}])

    assert found(held, GONE_AT - timedelta(minutes=14)) is not None


@pytest.mark.parametrize("deleted", [False, True])
def test_a_node_that_does_not_answer_is_named_at_once(deleted: bool) -> None:  # noqa: FBT001
    said = found(lost(deleted=deleted), GONE_AT - timedelta(minutes=15))

    assert said is not None
    assert said[0] is Reason.NODE_LOST
    for words in ("Node worker-2 does not answer", "demo-buildkitd-0", "out-of-service=nodeshutdown:NoExecute"):
        assert words in said[1]


def test_readiness_gates_are_no_lost_node() -> None:
    assert found(lost(deleted=False, spec={"readinessGates": [{"conditionType": "example.com/ready"}]})) is None


def test_nothing_is_said_of_pods_that_have_time_or_stay() -> None:
    assert found(pod(), GONE_AT + timedelta(seconds=29)) is None
    assert found(pod(deleted=False)) is None


def test_it_is_looked_at_when_it_should_have_gone() -> None:
    assert terminating.until_overdue([pod(), pod(deleted=False)], GONE_AT) == 30
    assert terminating.until_overdue([pod()], LATER) is None
    assert terminating.until_overdue([pod(deleted=False)], GONE_AT) is None


@pytest.mark.parametrize(("seen", "reason"), [(pod(), Reason.TERMINATION_STUCK), (lost(), Reason.NODE_LOST)])
def test_the_builder_says_so_where_no_other_daemon_can_come(seen: Manifest, reason: Reason) -> None:
    verdict = judge(make_builder(**CLAIMS), DaemonsObserved([make_stateful_set(ready=0)], [seen]), LATER)

    assert (verdict.ready, verdict.reason, verdict.stalled) == (False, reason, False)


def test_a_builder_whose_daemons_are_all_ready_mentions_it() -> None:
    verdict = judge(make_builder(), DaemonsObserved([make_deployment(total=1, ready=1)], [pod()]), LATER)

    assert verdict.ready
    assert verdict.reason is Reason.AVAILABLE
    assert "demo-buildkitd-0 was deleted and does not go" in verdict.message
