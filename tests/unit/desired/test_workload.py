"""Shared daemons and those who take nodes away: what their pods and their disruption budget say of it."""

import pytest

from buildkit_operator.desired.network import dns_names
from buildkit_operator.kube.resources import Manifest
from tests.unit.make import FAKE_CERTIFICATES, children_of, make_builder

SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"


def made(kind: str, **shared: object) -> Manifest:
    (found,) = (m for m in children_of(make_builder(shared=shared), FAKE_CERTIFICATES) if m["kind"] == kind)
    return found


def annotations(**shared: object) -> dict[str, str]:
    found: dict[str, str] = made("Deployment", **shared)["spec"]["template"]["metadata"]["annotations"]
    return found


@pytest.mark.parametrize(("drain", "expected"), [(900, "false"), (571, "false"), (570, None), (0, None)])
def test_an_autoscaler_leaves_daemons_alone_that_it_would_not_let_finish(drain: int, expected: str | None) -> None:
    assert annotations(drainTimeoutSeconds=drain).get(SAFE_TO_EVICT) == expected


def test_what_the_builder_says_of_eviction_holds() -> None:
    assert annotations(pod={"annotations": {SAFE_TO_EVICT: "true"}})[SAFE_TO_EVICT] == "true"


def test_a_daemon_that_is_not_ready_may_always_be_evicted() -> None:
    assert made("PodDisruptionBudget")["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_each_architecture_has_daemons_on_its_nodes_that_are_told_their_platform() -> None:
    builder = make_builder(shared={"architectures": ["amd64", "arm64"], "pod": {"nodeSelector": {"disk": "fast"}}})
    found = {m["metadata"]["name"]: m for m in children_of(builder, FAKE_CERTIFICATES) if m["kind"] == "Deployment"}

    assert list(found) == ["demo-buildkitd-amd64", "demo-buildkitd-arm64"]
    for name, deployment in found.items():
        architecture = name.rpartition("-")[2]
        selector = deployment["spec"]["selector"]["matchLabels"]
        template = deployment["spec"]["template"]
        assert selector["buildkit-operator.dev/architecture"] == architecture
        assert selector.items() <= template["metadata"]["labels"].items()
        assert template["spec"]["nodeSelector"] == {"disk": "fast", "kubernetes.io/arch": architecture}
        assert template["spec"]["topologySpreadConstraints"][0]["labelSelector"] == {"matchLabels": selector}
        assert template["spec"]["containers"][0]["command"][-2:] == ["", f"linux/{architecture}"]


def test_no_architecture_keeps_the_nodes_of_another_one_from_being_drained() -> None:
    builder = make_builder(shared={"architectures": ["amd64", "arm64"]})
    budgets = [m["spec"]["selector"]["matchLabels"] for m in children_of(builder) if m["kind"] == "PodDisruptionBudget"]

    assert [labels["buildkit-operator.dev/architecture"] for labels in budgets] == ["amd64", "arm64"]


def test_clients_outside_injection_reach_the_first_architecture_and_each() -> None:
    builder = make_builder(shared={"architectures": ["arm64", "amd64"], "service": {"type": "LoadBalancer"}})
    services = {m["metadata"]["name"]: m["spec"] for m in children_of(builder) if m["kind"] == "Service"}

    assert {name: spec["selector"]["buildkit-operator.dev/architecture"] for name, spec in services.items()} == {
        "demo-buildkitd": "arm64",
        "demo-buildkitd-arm64": "arm64",
        "demo-buildkitd-amd64": "amd64",
        "demo-buildkitd-arm64-headless": "arm64",
        "demo-buildkitd-amd64-headless": "amd64",
    }
    assert [spec.get("type") for spec in services.values()].count("LoadBalancer") == 1
    names = dns_names(builder, "cluster.local")
    assert {f"{name}.ci.svc" for name in services} <= set(names)
    assert "*.demo-buildkitd-amd64-headless.ci.svc.cluster.local" in names
