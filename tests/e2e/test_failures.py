"""Daemons that cannot start: the builder says why and what to do, within seconds."""

import pytest

from buildkit_operator.kube.manifests import condition
from hack.cluster.kubectl import Kubectl, wait_for
from tests.support.jobs import builder, wait_ready, wait_reason


def test_an_image_that_cannot_be_pulled(team: Kubectl) -> None:
    team.apply(builder(image="registry.registry.svc:5000/no/such-image:v1"))

    said = wait_reason(team, "ImagePullFailed")

    assert "no/such-image:v1" in said["message"]
    assert "spec.imagePullSecrets" in said["message"]
    warnings = team("events", "--for=bkb/demo", "--types=Warning")
    assert "ImagePullFailed" in warnings


def test_a_node_that_does_not_exist(team: Kubectl) -> None:
    team.apply(builder(shared={"pod": {"nodeSelector": {"disk": "none-has-this"}}}))

    said = wait_reason(team, "Unschedulable")

    assert "spec.shared.pod" in said["message"]


def test_a_namespace_that_enforces_baseline(cluster: Kubectl, fresh_name: str) -> None:
    team = cluster.create_namespace(fresh_name, **{"pod-security.kubernetes.io/enforce": "baseline"})
    try:
        team.apply(builder())
        said = wait_reason(team, "PodSecurityDenied")
        remedy = ["label", "--overwrite", "namespace", fresh_name, "pod-security.kubernetes.io/enforce=privileged"]
        assert " ".join(["kubectl", *remedy]) in said["message"]
        assert condition(team.get("bkb", "demo"), "Stalled")["status"] == "True"

        # The remedy works as it is written.
        team(*remedy)
        wait_ready(team, seconds=180)
    finally:
        cluster("delete", "namespace", fresh_name, "--wait=false")


@pytest.mark.usefixtures("hardening_policy")
def test_a_policy_that_forbids_privilege_escalation(team: Kubectl) -> None:
    team.apply(builder())

    said = wait_reason(team, "UserNamespaceDenied")

    assert "newuidmap" in said["message"]
    assert "allowPrivilegeEscalation" in said["message"]


def test_a_variable_from_a_secret_that_does_not_exist(team: Kubectl) -> None:
    source = {"secretKeyRef": {"name": "absent", "key": "token"}}
    team.apply(builder(env=[{"name": "TOKEN", "valueFrom": source}]))

    said = wait_reason(team, "ContainerConfigError")

    assert "absent" in said["message"]


def test_a_failing_roll_leaves_the_old_daemon_serving(team: Kubectl) -> None:
    team.apply(builder())
    wait_ready(team)

    team.apply(builder(image="registry.registry.svc:5000/no/such-image:v2"))

    def told() -> bool:
        found = team.get("bkb", "demo")
        named = "no/such-image:v2" in condition(found, "Reconciling").get("message", "")
        return named and condition(found, "Ready").get("status") == "True"

    wait_for("ready, and the failing roll is named", told)
