"""What the exporter makes of builders and pods, and which daemons it asks."""

import json
from typing import Any

import pytest

from buildkit_operator.exporter.targets import MOST_DAEMONS, keep_address, keep_target, read_builder
from buildkit_operator.kube.resources import Manifest


def builder(**spec: Any) -> Manifest:
    metadata = {"name": "demo", "namespace": "ci", "uid": "u1", "generation": 1}
    return {"metadata": metadata, "spec": {"mode": "Shared", **spec}}


REPLICA_SET = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "demo-buildkitd-7d4", "controller": True}
STATEFUL_SET = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "demo-buildkitd", "controller": True}


def pod(
    ip: str | None = "10.0.0.1",
    phase: str = "Running",
    *,
    name: str = "demo-0",
    ready: bool = True,
    owner: dict[str, Any] | None = REPLICA_SET,
    **spec: Any,
) -> Manifest:
    status = {"phase": phase, "podIP": ip, "conditions": [{"type": "Ready", "status": str(ready)}]}
    labels = {"pod-template-hash": "7d4"}
    metadata = {"name": name, "namespace": "ci", "uid": "p1", "resourceVersion": "1", "labels": labels}
    owners = {} if owner is None else {"ownerReferences": [owner]}
    return keep_address({"metadata": metadata | owners, "spec": {"nodeName": "one", **spec}, "status": status})


@pytest.mark.parametrize(
    ("ip", "address"), [("10.0.0.1", ("10.0.0.1", 4321)), ("fd00::1", ("fd00::1", 4321)), (None, None)]
)
def test_a_daemon_is_asked_at_its_pods_address(ip: str | None, address: tuple[str, int] | None) -> None:
    (target,) = read_builder(builder(shared={"port": 4321}), [pod(ip)]).pods

    assert target.address == address
    assert target.server_name == "demo-buildkitd.ci.svc"


def test_a_daemon_that_is_not_ready_is_known_and_not_asked() -> None:
    (target,) = read_builder(builder(), [pod(ready=False)]).pods

    assert target.address is None


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_is_no_daemon(phase: str) -> None:
    assert read_builder(builder(), [pod(phase=phase)]).pods == ()


def test_without_tls_no_certificate_is_expected() -> None:
    (target,) = read_builder(builder(shared={"tls": {"mode": "Disabled"}}), [pod()]).pods

    assert target.server_name is None


@pytest.mark.parametrize("spec", [{"mode": "Sidecar"}, {"shared": {"from": {"namespace": "builders", "name": "main"}}}])
def test_a_builder_without_daemons_of_its_own_wants_none(spec: dict[str, Any]) -> None:
    target = read_builder(builder(**spec) | {"status": {"pods": {"injected": 3, "ready": 2}}}, [pod()])

    assert (target.wanted, target.pods) == (None, ())
    assert (target.runners, target.runners_ready) == (3, 2)


@pytest.mark.parametrize("owner", [REPLICA_SET, STATEFUL_SET], ids=lambda owner: str(owner["kind"]))
def test_the_pods_of_a_builders_workload_are_its_daemons(owner: dict[str, Any]) -> None:
    assert len(read_builder(builder(), [pod(owner=owner)]).pods) == 1


@pytest.mark.parametrize(
    "owner",
    [
        None,
        {**REPLICA_SET, "controller": False},
        {**REPLICA_SET, "name": "other-buildkitd-7d4"},
        {**REPLICA_SET, "name": "demo-buildkitd-other"},
        {**REPLICA_SET, "apiVersion": "example.com/v1"},
        {**STATEFUL_SET, "name": "demo-buildkitd-7d4"},
        {**STATEFUL_SET, "kind": "Job"},
        {"apiVersion": "buildkit-operator.dev/v1alpha1", "kind": "BuildKitBuilder", "name": "demo", "controller": True},
    ],
    ids=str,
)
def test_a_pod_that_only_carries_the_labels_is_no_daemon(owner: dict[str, Any] | None) -> None:
    assert read_builder(builder(), [pod(owner=owner)]).pods == ()


@pytest.mark.parametrize("ip", ["example.com", "10.0.0.1:80", "[fd00::1]", "10.0.0.1/32", ""])
def test_nothing_is_looked_up(ip: str) -> None:
    (target,) = read_builder(builder(), [pod(ip)]).pods

    assert target.address is None


def test_a_pod_on_its_nodes_network_is_not_asked() -> None:
    (target,) = read_builder(builder(), [pod(hostNetwork=True)]).pods

    assert target.address is None


def test_a_builder_has_no_more_daemons_than_the_api_allows_replicas() -> None:
    assert len(read_builder(builder(), [pod(name=f"demo-{n}") for n in range(1000)]).pods) == MOST_DAEMONS


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"shared": {"port": 4321, "replicas": 3}},
        {"shared": {"tls": {"mode": "Disabled"}}},
        {"shared": {"from": {"namespace": "builders", "name": "main"}}},
        {"mode": "Sidecar"},
        {"daemon": {"toml": "x" * 60_000}, "env": [{"name": "A", "value": "x" * 16_000}]},
    ],
)
def test_little_is_kept_of_a_builder_and_says_all(spec: dict[str, Any]) -> None:
    whole = builder(**spec) | {"status": {"pods": {"injected": 3, "ready": 2}, "injection": {"env": ["x" * 1000]}}}
    whole["metadata"] |= {"resourceVersion": "1", "annotations": {"a": "x" * 200_000}}

    kept = keep_target(whole)

    assert len(json.dumps(kept)) < 500
    assert keep_target(kept) == kept
    assert read_builder(kept, [pod()]) == read_builder(whole, [pod()])
