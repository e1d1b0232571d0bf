"""Whether namespaces admit daemons and let pods be picked, and whether nodes can run user namespaces."""

from typing import Any

import pytest

from buildkit_operator.cli.checks.findings import CheckResult
from buildkit_operator.cli.checks.nodes import lacks
from buildkit_operator.kube.resources import Manifest
from tests.unit.cli.cluster_states import FORBIDDEN, cluster, found, live, messages, node, result

ENFORCE = "pod-security.kubernetes.io/enforce"
OPTED_IN = {"buildkit-operator.dev/injection": "enabled"}
PICKING: Manifest = {"injection": {"podSelector": {"matchLabels": {"app": "runner"}}}}
USER_NAMESPACE: Manifest = {"isolation": "UserNamespace"}


@pytest.mark.parametrize(
    ("spec", "labels", "expected", "said"),
    [
        ({}, {}, CheckResult.OK, "enforces level privileged, which admits the daemons of its builder"),
        ({}, {ENFORCE: "privileged"}, CheckResult.OK, "privileged"),
        ({}, {ENFORCE: "baseline"}, CheckResult.FAILED, "Set spec.isolation to UserNamespace"),
        ({}, {ENFORCE: "restricted"}, CheckResult.FAILED, "kubectl label --overwrite namespace ci"),
        (USER_NAMESPACE, {ENFORCE: "baseline"}, CheckResult.OK, "baseline"),
        (USER_NAMESPACE, {ENFORCE: "restricted"}, CheckResult.FAILED, "baseline"),
        ({"securityProfiles": "NodeDefault"}, {ENFORCE: "baseline"}, CheckResult.OK, "baseline"),
        ({"mode": "Sidecar"}, {ENFORCE: "baseline"}, CheckResult.FAILED, "UserNamespace"),
        ({"shared": {"from": {"namespace": "a", "name": "b"}}}, {ENFORCE: "restricted"}, CheckResult.OK, "no builder"),
        ({}, FORBIDDEN, CheckResult.UNKNOWN, FORBIDDEN.sentence),
    ],
)
def test_a_namespace_has_to_admit_the_daemons_of_its_builders(
    spec: Manifest, labels: Any, expected: CheckResult, said: str
) -> None:
    seen = cluster(builders=[live(**spec)], labels={"ci": labels})

    assert result("PodSecurity", seen) is expected
    assert said in messages("PodSecurity", seen)


def test_a_namespace_that_is_not_there_is_told() -> None:
    seen = cluster(labels={"missing": None, "ci": {}})

    assert result("PodSecurity", seen) is CheckResult.FAILED
    assert "There is no namespace missing." in messages("PodSecurity", seen)
    assert result("OptIn", seen) is CheckResult.OK


def test_each_builder_is_refused_by_itself() -> None:
    builders = [live("a"), live("b", **USER_NAMESPACE), live("c")]

    findings = found("PodSecurity", cluster(builders=builders, labels={"ci": {ENFORCE: "baseline"}}))

    assert [finding.message.split(":")[0] for finding in findings] == [
        "BuildKitBuilder ci/a",
        "BuildKitBuilder ci/c",
    ]
    assert findings[0].page.endswith("/PodSecurityDenied/")


@pytest.mark.parametrize(
    ("spec", "labels", "expected", "said"),
    [
        ({}, {"ci": {}}, CheckResult.OK, "No builder picks pods"),
        (PICKING, {"ci": OPTED_IN}, CheckResult.OK, "in the namespaces that opted in"),
        (PICKING, {"ci": {}}, CheckResult.WARNING, "buildkit-operator.dev/injection=enabled"),
        (PICKING, {"ci": {"buildkit-operator.dev/injection": "true"}}, CheckResult.WARNING, "has not opted in"),
        ({}, {"ci": OPTED_IN}, CheckResult.WARNING, "no pod is picked"),
        ({}, {"ci": {}, "other": OPTED_IN}, CheckResult.WARNING, "Namespace other"),
        (PICKING, {"ci": FORBIDDEN}, CheckResult.UNKNOWN, FORBIDDEN.sentence),
        ({}, {"ci": FORBIDDEN}, CheckResult.OK, "No builder picks pods"),
    ],
)
def test_builders_that_pick_pods_and_namespaces_that_let_them_belong_together(
    spec: Manifest, labels: Any, expected: CheckResult, said: str
) -> None:
    seen = cluster(builders=[live(**spec)], labels=labels)

    assert result("OptIn", seen) is expected
    assert said in messages("OptIn", seen)


@pytest.mark.parametrize(
    ("facts", "lack"),
    [
        ({}, None),
        ({"kubelet": "v1.33.0", "runtime": "containerd://2.0.0", "kernel": "6.3.0"}, None),
        ({"runtime": "cri-o://1.33.1"}, None),
        ({"kubelet": "v1.32.9-gke.100"}, "kubelet v1.32.9-gke.100 is older than 1.33"),
        ({"runtime": "containerd://1.7.24"}, "containerd 1.7.24 is older than 2.0"),
        ({"runtime": "cri-o://1.24.0"}, "cri-o 1.24.0 is older than 1.25"),
        ({"runtime": "docker://28.0.0"}, "docker runs no pods in a user namespace"),
        ({"kernel": "6.1.0-18-cloud-amd64"}, "Linux 6.1.0-18-cloud-amd64 is older than 6.3"),
        ({"kernel": "5.15.0-1051-gke"}, "Linux 5.15.0-1051-gke is older than 6.3"),
        ({"kernel": "10.0"}, None),
        ({"kubelet": "", "runtime": "", "kernel": ""}, None),
        ({"runtime": "containerd://unknown"}, None),
    ],
)
def test_a_node_is_told_by_what_it_lacks(facts: dict[str, str], lack: str | None) -> None:
    assert lacks(node(**facts)) == lack


OLD = node("old", kernel="5.15.0")
WINDOWS = node("windows", kernel="10.0.20348", runtime="containerd://1.7.0", system="windows")


@pytest.mark.parametrize(
    ("spec", "nodes", "expected", "said"),
    [
        (USER_NAMESPACE, [node()], CheckResult.OK, "1 of 1 Linux nodes"),
        (USER_NAMESPACE, [node(), WINDOWS], CheckResult.OK, "1 of 1 Linux nodes"),
        (
            USER_NAMESPACE,
            [node(), OLD],
            CheckResult.WARNING,
            "1 of 2 Linux nodes can run pods in a user namespace: old (",
        ),
        (USER_NAMESPACE, [OLD], CheckResult.FAILED, "no node can run it: old (Linux 5.15.0 is older than 6.3)"),
        (USER_NAMESPACE, [WINDOWS], CheckResult.WARNING, "there is no Linux node"),
        (USER_NAMESPACE, FORBIDDEN, CheckResult.UNKNOWN, FORBIDDEN.sentence),
        ({}, [node(), OLD], CheckResult.OK, "No builder asks for isolation UserNamespace; 1 of 2"),
        ({}, FORBIDDEN, CheckResult.OK, "No builder asks"),
    ],
)
def test_builders_in_user_namespaces_need_nodes_that_can(
    spec: Manifest, nodes: Any, expected: CheckResult, said: str
) -> None:
    seen = cluster(builders=[live(**spec)], nodes=nodes)

    assert result("UserNamespaces", seen) is expected
    assert said in messages("UserNamespaces", seen)


def test_of_many_nodes_some_are_named() -> None:
    nodes = [node(f"old-{number}", kernel="5.15") for number in range(9)]

    said = messages("UserNamespaces", cluster(builders=[live(**USER_NAMESPACE)], nodes=nodes))

    assert "old-4" in said
    assert "old-5" not in said
    assert "and 4 more" in said
