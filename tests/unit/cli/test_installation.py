"""Whether the operator is installed and at work."""

import copy
from collections.abc import Callable

import pytest

from buildkit_operator.cli.checks.findings import CheckResult
from buildkit_operator.kube.resources import Manifest
from tests.unit.cli.cluster_states import (
    FORBIDDEN,
    cluster,
    deployment,
    found,
    installed_definition,
    lease,
    messages,
    result,
)


@pytest.mark.parametrize(
    ("minor", "expected", "said"),
    [
        (30, CheckResult.FAILED, "not supported"),
        (31, CheckResult.OK, "webhook"),
        (35, CheckResult.OK, "webhook"),
        (36, CheckResult.OK, "policies"),
        (41, CheckResult.OK, "policies"),
    ],
)
def test_the_servers_version_decides_what_is_possible(minor: int, expected: CheckResult, said: str) -> None:
    assert result("ServerVersion", cluster(minor)) is expected
    assert said in messages("ServerVersion", cluster(minor))


def test_the_definition_of_this_version_is_good() -> None:
    assert result("Definition", cluster(definition=installed_definition())) is CheckResult.OK


def test_without_a_definition_nothing_works() -> None:
    assert result("Definition", cluster()) is CheckResult.FAILED
    assert "buildkit-operator crds | kubectl apply" in messages("Definition", cluster())


def test_who_may_not_read_the_definition_learns_whether_it_is_served() -> None:
    assert result("Definition", cluster(definition=FORBIDDEN, is_served=False)) is CheckResult.FAILED
    seen = cluster(definition=FORBIDDEN, is_served=FORBIDDEN)
    assert result("Definition", seen) is CheckResult.UNKNOWN
    seen = cluster(definition=FORBIDDEN, is_served=True)
    assert result("Definition", seen) is CheckResult.UNKNOWN
    assert FORBIDDEN.sentence in messages("Definition", seen)


def schema(definition: Manifest) -> Manifest:
    found: Manifest = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    return found


def remove_a_field(definition: Manifest) -> None:
    del schema(definition)["spec"]["properties"]["daemon"]["properties"]["dns"]


def remove_a_rule(definition: Manifest) -> None:
    del schema(definition)["spec"]["x-kubernetes-validations"]


def add_a_field(definition: Manifest) -> None:
    schema(definition)["spec"]["properties"]["novel"] = {"type": "string"}


def allow_another_mode(definition: Manifest) -> None:
    schema(definition)["spec"]["properties"]["mode"]["enum"].append("Novel")


def stop_serving(definition: Manifest) -> None:
    definition["spec"]["versions"][0]["served"] = False


def serve_only_another_version(definition: Manifest) -> None:
    definition["spec"]["versions"][0]["name"] = "v1"


def refuse_its_names(definition: Manifest) -> None:
    definition["status"]["conditions"][0] |= {"status": "False", "message": '"bkb" is already in use'}


def store_another_version(definition: Manifest) -> None:
    definition["status"]["storedVersions"].append("v1alpha0")


@pytest.mark.parametrize(
    ("change", "expected", "said"),
    [
        (remove_a_field, CheckResult.FAILED, "it lacks spec.daemon.dns"),
        (remove_a_rule, CheckResult.FAILED, "it lacks spec.x-kubernetes-validations"),
        (add_a_field, CheckResult.WARNING, "differs in spec.novel"),
        (allow_another_mode, CheckResult.WARNING, "differs in spec.mode.enum"),
        (stop_serving, CheckResult.FAILED, "does not serve v1alpha1"),
        (serve_only_another_version, CheckResult.FAILED, "does not serve v1alpha1"),
        (refuse_its_names, CheckResult.FAILED, '"bkb" is already in use'),
        (store_another_version, CheckResult.WARNING, "v1alpha0"),
    ],
)
def test_a_definition_that_is_not_this_versions_is_told_with_the_place(
    change: Callable[[Manifest], None], expected: CheckResult, said: str
) -> None:
    definition = copy.deepcopy(installed_definition())
    change(definition)

    seen = cluster(definition=definition)

    assert result("Definition", seen) is expected
    assert said in messages("Definition", seen)


@pytest.mark.parametrize(
    ("deployments", "expected", "said"),
    [
        ([], CheckResult.FAILED, "There is no operator in namespace buildkit-operator"),
        ([deployment("webhook")], CheckResult.FAILED, "There is no operator"),
        ([deployment(ready=0)], CheckResult.FAILED, "0 of 2 replicas ready"),
        ([deployment(ready=0, wanted=0)], CheckResult.FAILED, "scaled to zero"),
        ([deployment(ready=1)], CheckResult.WARNING, "1 of 2 replicas ready"),
        ([deployment(), deployment("webhook", ready=0)], CheckResult.OK, "2 of 2 replicas ready"),
        (FORBIDDEN, CheckResult.UNKNOWN, FORBIDDEN.sentence),
    ],
)
def test_the_operator_runs_when_its_replicas_are_ready(
    deployments: list[Manifest], expected: CheckResult, said: str
) -> None:
    seen = cluster(deployments=deployments)

    assert result("Operator", seen) is expected
    assert said in messages("Operator", seen)


@pytest.mark.parametrize(
    ("held", "expected", "said"),
    [
        (lease(), CheckResult.OK, "operator-1 holds the Lease"),
        (lease("2026-11-24T11:58:30.000000Z"), CheckResult.FAILED, "90 seconds ago"),
        (lease("2026-11-24T12:00:30.000000Z"), CheckResult.OK, "operator-1"),
        (lease(holder=""), CheckResult.FAILED, "No replica"),
        ({"spec": None}, CheckResult.FAILED, "No replica"),
        (None, CheckResult.FAILED, "No replica"),
        (FORBIDDEN, CheckResult.UNKNOWN, FORBIDDEN.sentence),
    ],
)
def test_somebody_writes_when_the_lease_is_held_and_fresh(held: Manifest, expected: CheckResult, said: str) -> None:
    assert result("Leader", cluster(lease=held)) is expected
    assert said in messages("Leader", cluster(lease=held))


@pytest.mark.parametrize(
    ("value", "expected"), [("false", CheckResult.OK), ("No", CheckResult.OK), ("true", CheckResult.FAILED)]
)
def test_an_operator_that_is_told_to_go_without_a_lease_needs_none(value: str, expected: CheckResult) -> None:
    (finding,) = found("Leader", cluster(deployments=[deployment(LEASE=value)]))

    assert finding.result is expected
