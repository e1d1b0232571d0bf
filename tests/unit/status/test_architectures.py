"""A builder with daemons of several architectures: as well as the one that is worst, in words on each."""

from typing import Any, Final

import pytest

from buildkit_operator.api.reasons import Reason
from buildkit_operator.desired.claims import seen_claims
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status import DaemonsObserved, Verdict, judge, status_for
from buildkit_operator.status.diagnosis.daemons import Finding
from tests.unit.make import NOW, make_builder, make_claim, make_deployment, make_pod

BOTH: Final[Manifest] = {"architectures": ["amd64", "arm64"]}
NO_NODE: Final[Manifest] = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes are available",
}


def deployment(architecture: str, **counts: int) -> Manifest:
    return make_deployment(name=f"demo-buildkitd-{architecture}", **counts)


def pod(architecture: str, **status: Any) -> Manifest:
    """Return a pod of an architecture's Deployment."""
    made = make_pod(f"demo-buildkitd-{architecture}-7c9d-x2x4z", **status)
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"demo-buildkitd-{architecture}-7c9d"}
    return {**made, "metadata": {**made["metadata"], "ownerReferences": [owner | {"uid": "1", "controller": True}]}}


def verdict(*workloads: Manifest, **observed: Any) -> Verdict:
    return judge(make_builder(shared=BOTH), DaemonsObserved(workloads, **observed))


def test_it_is_ready_once_each_architecture_is() -> None:
    found = verdict(deployment("amd64", ready=1), deployment("arm64", ready=1))

    assert (found.ready, found.reason, found.reconciling, found.stalled) == (True, Reason.AVAILABLE, None, False)
    assert found.message == "amd64: 1 of 1 daemon ready. arm64: 1 of 1 daemon ready."


def test_what_is_to_be_said_of_all_is_said_once() -> None:
    builder = make_builder(shared={**BOTH, "tls": {"mode": "Disabled"}})
    found = judge(builder, DaemonsObserved([deployment("amd64", ready=1), deployment("arm64", ready=1)]))

    assert found.message.count("TLS is disabled") == 1


@pytest.mark.parametrize("there", [[], ["amd64"], ["arm64"]])
def test_it_is_being_made_until_each_has_a_workload(there: list[str]) -> None:
    found = verdict(*(deployment(architecture, ready=1) for architecture in there))

    assert (found.ready, found.reason) == (False, Reason.PROGRESSING)
    assert found.message == "The daemon's objects are being made."


def test_what_it_had_before_does_not_count() -> None:
    assert not verdict(make_deployment(ready=1)).ready


def test_one_that_no_node_takes_is_what_is_wrong_with_all() -> None:
    found = verdict(
        deployment("amd64", ready=1),
        deployment("arm64"),
        pods=[pod("amd64", conditions=[{"type": "Ready", "status": "True"}]), pod("arm64", conditions=[NO_NODE])],
    )

    assert (found.ready, found.reason) == (False, Reason.UNSCHEDULABLE)
    assert found.message == (
        "amd64: 1 of 1 daemon ready. arm64: 0 of 1 daemon ready. No node takes pod demo-buildkitd-arm64-7c9d-x2x4z: "
        "0/1 nodes are available. Check spec.resources and spec.shared.pod against the nodes."
    )


def test_a_pod_of_another_architecture_is_no_reason_why_one_starts_slowly() -> None:
    found = verdict(deployment("amd64"), deployment("arm64"), pods=[pod("arm64", conditions=[NO_NODE])])

    assert found.message.startswith(
        "amd64: 0 of 1 daemon ready. Waiting for the daemon to answer. arm64: 0 of 1 daemon ready. No node takes pod"
    )


def test_what_was_found_comes_before_what_only_starts() -> None:
    refused = Finding(Reason.PODS_REFUSED, "The API server refuses the daemon's pods: no.")
    found = verdict(deployment("amd64"), deployment("arm64"), refusals={"demo-buildkitd-arm64": refused})

    assert (found.reason, found.stalled) == (Reason.PODS_REFUSED, refused.user_must_act)
    assert "amd64: 0 of 1 daemon ready. Waiting for the daemon to answer. arm64: 0 of 1 daemon" in found.message


def test_a_roll_of_one_is_told_while_all_serve() -> None:
    found = verdict(deployment("amd64", ready=1), deployment("arm64", total=2, updated=1, ready=1))

    assert found.ready
    assert found.reconciling == "amd64: 1 of 1 daemon ready. arm64: 1 of 1 daemon ready. 1 up to date."


def test_it_is_scaled_to_zero_as_a_whole() -> None:
    builder = make_builder(shared={**BOTH, "replicas": 0})
    found = judge(builder, DaemonsObserved([deployment("amd64", total=0), deployment("arm64", total=0)]))

    assert (found.ready, found.reason) == (True, Reason.SCALED_TO_ZERO)
    assert found.message.startswith("Scaled to zero: no daemon runs")


def test_a_claim_is_of_its_architecture_alone() -> None:
    builder = make_builder(shared=BOTH, cache={"size": "50Gi", "persistentVolumeClaim": {}})
    lost = make_claim(0, name="buildkit-state-demo-buildkitd-arm64-0", phase="Lost")
    claims = seen_claims(builder, [], [lost], {})
    found = judge(builder, DaemonsObserved([deployment("amd64", ready=1), deployment("arm64")], claims=claims))

    assert found.reason is Reason.CLAIM_LOST
    assert "amd64: 1 of 1 daemon ready. arm64: 0 of 1 daemon ready. PVC buildkit-state-demo-buildkitd-arm64-0" in (
        found.message
    )
    assert "pod/demo-buildkitd-arm64-0" in found.message


def test_numbers_are_sums_and_the_endpoint_is_the_builders_own() -> None:
    builder = make_builder(shared={**BOTH, "replicas": 2})
    observed = DaemonsObserved([deployment("amd64", total=2, ready=2), deployment("arm64", total=2, ready=1)])
    status = status_for(builder, observed, {}, NOW)

    assert (status["replicas"], status["readyReplicas"]) == (4, 3)
    assert status["endpoint"] == "tcp://demo-buildkitd.ci.svc:1234"
    assert status["selector"] == "buildkit-operator.dev/owner=demo,app.kubernetes.io/name=buildkitd"
