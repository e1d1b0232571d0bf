"""Whether the policies that say what RBAC cannot are in force, as the doctor sees it."""

from typing import Any, Final

import pytest

from buildkit_operator.cli.checks.findings import CheckResult
from buildkit_operator.kube.resources import Manifest
from tests.unit.cli.cluster_states import (
    FORBIDDEN,
    cluster,
    deployment,
    installed_labels_policy,
    installed_probe_policy,
    messages,
    result,
)
from tests.unit.make import changed

OTHER = "system:serviceaccount:elsewhere:bko"
POLICY, BINDING = installed_probe_policy()


def operator(namespace: str = "buildkit-operator", account: str = "buildkit-operator") -> Manifest:
    found = changed(deployment(), "metadata.namespace", namespace)
    return changed(found, "spec.template.spec.serviceAccountName", account)


def seen(*policies: Manifest, of: Manifest | None = None) -> Any:
    return cluster(policies=policies, deployments=[of or operator()])


def test_a_policy_in_force_is_good() -> None:
    assert result("PodCreation", seen(POLICY, BINDING)) is CheckResult.OK


def test_another_release_has_its_own_policy() -> None:
    release = operator("elsewhere", "bko")

    assert result("PodCreation", seen(*installed_probe_policy(OTHER), of=release)) is CheckResult.OK
    assert result("PodCreation", seen(POLICY, BINDING, of=release)) is CheckResult.WARNING
    assert OTHER in messages("PodCreation", seen(POLICY, BINDING, of=release))


@pytest.mark.parametrize(
    "policies",
    [
        (),
        (POLICY,),
        (BINDING,),
        (POLICY, changed(BINDING, "spec.validationActions", ["Audit"])),
        (POLICY, changed(BINDING, "spec.policyName", "another")),
        (POLICY, changed(BINDING, "spec.matchResources", {"namespaceSelector": {"matchLabels": {"a": "b"}}})),
        (changed(POLICY, "spec.failurePolicy", "Ignore"), BINDING),
        (changed(POLICY, "spec.validations", [{"expression": "true"}]), BINDING),
        (changed(POLICY, "spec.matchConstraints.namespaceSelector", {"matchLabels": {"a": "b"}}), BINDING),
        (
            changed(
                POLICY,
                "spec.matchConditions",
                [*POLICY["spec"]["matchConditions"], {"name": "never", "expression": "false"}],
            ),
            BINDING,
        ),
    ],
    ids=range(10),
)
def test_one_that_is_missing_or_looks_away_is_told(policies: tuple[Manifest, ...]) -> None:
    assert result("PodCreation", seen(*policies)) is CheckResult.WARNING
    assert "base/probe-policy.yaml" in messages("PodCreation", seen(*policies))


def test_who_may_not_look_learns_just_that() -> None:
    assert result("PodCreation", cluster(policies=FORBIDDEN)) is CheckResult.UNKNOWN
    assert result("PodCreation", cluster(deployments=FORBIDDEN)) is CheckResult.UNKNOWN


def test_without_an_operator_nobody_creates_pods() -> None:
    assert result("PodCreation", cluster()) is CheckResult.OK


LABELS_POLICY, LABELS_BINDING = installed_labels_policy()
SOME: Final = {"matchLabels": {"a": "b"}}


def test_labels_that_are_kept_for_daemons_are_good() -> None:
    assert result("DaemonLabels", cluster(policies=[LABELS_POLICY, LABELS_BINDING])) is CheckResult.OK


@pytest.mark.parametrize(
    "policies",
    [
        (),
        (LABELS_POLICY,),
        (POLICY, BINDING),
        (changed(LABELS_POLICY, "spec.validations", [{"expression": "true"}]), LABELS_BINDING),
        (changed(LABELS_POLICY, "spec.matchConstraints.namespaceSelector", SOME), LABELS_BINDING),
        (LABELS_POLICY, changed(LABELS_BINDING, "spec.validationActions", ["Warn"])),
    ],
    ids=range(6),
)
def test_labels_that_anybody_may_give_are_told(policies: tuple[Manifest, ...]) -> None:
    assert result("DaemonLabels", cluster(policies=policies)) is CheckResult.WARNING
    assert "base/daemon-labels.yaml" in messages("DaemonLabels", cluster(policies=policies))


def test_who_may_not_look_at_policies_learns_just_that() -> None:
    assert result("DaemonLabels", cluster(policies=FORBIDDEN)) is CheckResult.UNKNOWN
