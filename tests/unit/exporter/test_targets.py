"""What the exporter makes of builders and pods, and which daemons it asks."""

from typing import Any

import pytest

from buildkit_operator.exporter.targets import keep_address, read_builder
from buildkit_operator.kube.resources import Manifest


def builder(**spec: Any) -> Manifest:
    metadata = {"name": "demo", "namespace": "ci", "uid": "u1", "generation": 1}
    return {"metadata": metadata, "spec": {"mode": "Shared", **spec}}


def pod(ip: str | None = "10.0.0.1", phase: str = "Running", *, ready: bool = True) -> Manifest:
    status = {"phase": phase, "podIP": ip, "conditions": [{"type": "Ready", "status": str(ready)}]}
    metadata = {"name": "demo-0", "namespace": "ci", "uid": "p1", "resourceVersion": "1", "labels": {}}
    return keep_address({"metadata": metadata, "spec": {"nodeName": "one"}, "status": status})


@pytest.mark.parametrize(
    ("ip", "address"), [("10.0.0.1", "ipv4:10.0.0.1:4321"), ("fd00::1", "ipv6:[fd00::1]:4321"), (None, None)]
)
def test_a_daemon_is_asked_at_its_pods_address(ip: str | None, address: str | None) -> None:
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
