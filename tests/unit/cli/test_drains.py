"""What blocks a node drain or ends it too early, as the doctor sees it."""

from typing import Any

import pytest

from buildkit_operator.cli.checks.findings import CheckResult
from buildkit_operator.kube.resources import Manifest
from tests.unit.cli.cluster_states import FORBIDDEN, cluster, live, messages, node, result


def budget(name: str = "theirs", *, owner: str = "", **spec: Any) -> Manifest:
    references = [{"kind": "BuildKitBuilder", "name": owner, "controller": True, "apiVersion": "x/v1", "uid": "1"}]
    return {
        "metadata": {"name": name, "namespace": "ci", **({"ownerReferences": references} if owner else {})},
        "spec": spec,
    }


def test_without_shared_daemons_nothing_is_to_be_drained() -> None:
    seen = cluster(builders=[live(mode="Sidecar")], budgets=FORBIDDEN, nodes=FORBIDDEN)

    assert result("Drains", seen) is CheckResult.OK


def test_a_healthy_cluster_drains() -> None:
    own = budget("demo-buildkitd", owner="demo", unhealthyPodEvictionPolicy="AlwaysAllow", selector={})

    assert result("Drains", cluster(builders=[live()], budgets=[own], nodes=[node()])) is CheckResult.OK


@pytest.mark.parametrize("amount", ["0", "0%"])
def test_a_budget_that_lets_no_daemon_go_is_told(amount: str) -> None:
    seen = cluster(builders=[live(shared={"disruptionBudget": {"maxUnavailable": amount}})])

    assert "ci/demo forbids drains of its nodes" in messages("Drains", seen)


def test_our_budget_of_an_older_version_is_told() -> None:
    assert "unhealthyPodEvictionPolicy" in messages(
        "Drains", cluster(builders=[live()], budgets=[budget("demo-buildkitd", owner="demo")])
    )


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({}, CheckResult.FAILED),
        ({"matchLabels": {"app.kubernetes.io/name": "buildkitd"}}, CheckResult.FAILED),
        ({"matchLabels": {"team": "ci"}}, CheckResult.FAILED),
        ({"matchLabels": {"team": "web"}}, CheckResult.OK),
        ({"matchExpressions": [{"key": "team", "operator": "In", "values": ["ci"]}]}, CheckResult.FAILED),
        ({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["ci"]}]}, CheckResult.OK),
        ({"matchExpressions": [{"key": "team", "operator": "Exists"}]}, CheckResult.FAILED),
        ({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}, CheckResult.OK),
    ],
)
def test_a_second_budget_for_the_same_pods_is_told(selector: Manifest, expected: CheckResult) -> None:
    builder = live(shared={"pod": {"labels": {"team": "ci"}}})

    assert result("Drains", cluster(builders=[builder], budgets=[budget(selector=selector)])) is expected


def autoscaler(*arguments: str) -> Manifest:
    container = {"name": "main", "command": ["./cluster-autoscaler", *arguments]}
    return {
        "metadata": {"name": "ca", "namespace": "kube-system"},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }


@pytest.mark.parametrize(
    ("arguments", "given"),
    [((), 600), (("--max-graceful-termination-sec=60",), 60), (("--max-graceful-termination-sec", "899"), 899)],
)
def test_an_autoscaler_that_does_not_wait_for_builds_is_told(arguments: tuple[str, ...], given: int) -> None:
    seen = cluster(builders=[live()], autoscalers=[autoscaler(*arguments)])

    assert f"Deployment kube-system/ca ends pods of a node that it removes after {given} s" in messages("Drains", seen)
    assert "--max-graceful-termination-sec=960" in messages("Drains", seen)


def test_one_that_waits_is_well() -> None:
    patient = autoscaler("--max-graceful-termination-sec=900")
    others = {"metadata": {}, "spec": {"template": {"spec": {"containers": [{"name": "dns"}]}}}}

    assert result("Drains", cluster(builders=[live()], autoscalers=[patient, others])) is CheckResult.OK


@pytest.mark.parametrize(
    ("grace", "expected"),
    [(None, CheckResult.OK), ("1h", CheckResult.OK), ("14m59s", CheckResult.WARNING), ("15m", CheckResult.OK)],
)
def test_a_node_pool_that_does_not_wait_for_builds_is_told(grace: str | None, expected: CheckResult) -> None:
    spec = {"terminationGracePeriod": grace} if grace else {}
    pool = {"metadata": {"name": "ci"}, "spec": {"template": {"spec": spec}}}

    assert result("Drains", cluster(builders=[live()], node_pools=[pool])) is expected


def test_spot_nodes_that_daemons_may_be_on_are_told() -> None:
    spot = node("spot-1")
    spot["metadata"]["labels"] = {"karpenter.sh/capacity-type": "spot", "pool": "ci"}

    def seen(**selector: str) -> CheckResult:
        return result("Drains", cluster(builders=[live(shared={"pod": {"nodeSelector": selector}})], nodes=[spot]))

    assert seen() is CheckResult.WARNING
    assert seen(pool="ci") is CheckResult.WARNING
    assert seen(pool="other") is CheckResult.OK


@pytest.mark.parametrize(("architectures", "expected"), [(["arm64"], "WARNING"), (["amd64"], "OK"), ([], "WARNING")])
def test_nodes_of_an_architecture_that_has_no_daemons_are_none_for_them(
    architectures: list[str], expected: str
) -> None:
    spot = node("spot-1")
    spot["metadata"]["labels"] = {"karpenter.sh/capacity-type": "spot", "kubernetes.io/arch": "arm64"}
    builder = live(shared={"architectures": architectures})

    assert result("Drains", cluster(builders=[builder], nodes=[spot])) is CheckResult[expected]


@pytest.mark.parametrize(("architecture", "expected"), [("arm64", "FAILED"), ("s390x", "OK")])
def test_a_second_budget_for_the_pods_of_an_architecture_is_told(architecture: str, expected: str) -> None:
    builder = live(shared={"architectures": ["amd64", "arm64"]})
    chosen = {"matchLabels": {"buildkit-operator.dev/architecture": architecture}}

    assert result("Drains", cluster(builders=[builder], budgets=[budget(selector=chosen)])) is CheckResult[expected]


@pytest.mark.parametrize("unseen", ["budgets", "nodes", "autoscalers", "node_pools"])
def test_what_may_not_be_seen_is_unknown(unseen: str) -> None:
    facts: dict[str, Any] = {"builders": [live()], unseen: FORBIDDEN}

    assert result("Drains", cluster(**facts)) is CheckResult.UNKNOWN
