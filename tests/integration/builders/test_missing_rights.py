"""An operator that lacks a right: the builder says which, in a sentence, and is well again once it is given."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

import pytest

from buildkit_operator.controller.rights import RULES
from buildkit_operator.kube.resources import Manifest
from hack.cluster.controlplane import ControlPlane
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.builder_operator import BuilderOperator
from tests.integration.builders.conftest import apply_policies
from tests.integration.conftest import CRDS

ACCOUNT: Final = "operator"
RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture(scope="module")
def control_plane() -> Iterator[ControlPlane]:
    """Start an API server that injects, with an account for the operator."""
    with ControlPlane() as control_plane:
        control_plane.apply_crds(CRDS)
        apply_policies(control_plane)
        account = {"metadata": {"name": ACCOUNT}}
        control_plane.request("POST", "/api/v1/namespaces/default/serviceaccounts", account)
        yield control_plane


@pytest.fixture(scope="module")
def operator(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuilderOperator]:
    """Start an operator with that account and all its rights."""
    control_plane.request("POST", f"{RBAC}/clusterroles", {"metadata": {"name": ACCOUNT}, "rules": rules()})
    subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": "default"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": ACCOUNT}
    binding = {"metadata": {"name": ACCOUNT}, "subjects": [subject], "roleRef": role}
    control_plane.request("POST", f"{RBAC}/clusterrolebindings", binding)
    kubeconfig = control_plane.service_account_kubeconfig("default", ACCOUNT)
    log: Path = tmp_path_factory.mktemp("operator") / "log"
    process = BuilderOperator(kubeconfig, log)
    try:
        process.wait_ready()
        yield process
    finally:
        process.kill()


def rules(without: tuple[str, str] = ("", "")) -> list[Manifest]:
    """Return the operator's rights, but for one verb on one kind."""
    found = []
    for rule in map(asdict, RULES):
        for resource in rule["resources"]:
            verbs = [verb for verb in rule["verbs"] if (verb, resource) != without]
            if verbs:
                found.append({"apiGroups": [rule["group"]], "resources": [resource], "verbs": verbs})
    return found


def allow(control_plane: ControlPlane, allowed: list[Manifest]) -> None:
    control_plane.request("PATCH", f"{RBAC}/clusterroles/{ACCOUNT}", {"rules": allowed})


@pytest.mark.parametrize(
    ("verb", "kind", "spec"),
    [
        ("get", "secrets", {"mode": "Shared"}),
        ("create", "services", {"mode": "Shared"}),
        ("patch", "deployments.apps", {"mode": "Shared"}),
        ("get", "persistentvolumeclaims", {"mode": "Sidecar", "injection": {"localCache": {"claimName": "cache"}}}),
    ],
)
def test_a_missing_right_is_named_and_giving_it_is_enough(
    builders: Builders, verb: str, kind: str, spec: Manifest
) -> None:
    allow(builders.control_plane, rules(without=(verb, kind.partition(".")[0])))
    try:
        builders.create(**spec)

        ready = builders.wait_reason("Rejected")
        assert f"The operator may not {verb} {kind} in namespace {builders.namespace}" in ready["message"]
        assert "install the roles of this version" in ready["message"]
        assert builders.condition("Stalled")["status"] == "True"
    finally:
        allow(builders.control_plane, rules())
    if spec["mode"] == "Shared":
        builders.wait_for_deployment()
    else:
        builders.wait_reason("ClaimNotFound")


def test_what_may_not_be_deleted_is_named_and_pods_get_what_is_new(builders: Builders) -> None:
    builders.create()
    builders.make_ready()
    allow(builders.control_plane, rules(without=("delete", "services")))
    try:
        builders.edit(mode="Sidecar")

        ready = builders.wait_reason("Rejected")
        assert f"The operator may not delete services in namespace {builders.namespace}" in ready["message"]
        (container,) = builders.status()["injection"]["initContainers"]
        assert container["name"] == "buildkitd"
    finally:
        allow(builders.control_plane, rules())
    builders.wait_reason("Available")


def test_a_pod_that_may_not_be_tried_is_told_beside(builders: Builders) -> None:
    allow(builders.control_plane, rules(without=("create", "pods")))
    try:
        builders.create(mode="Sidecar")

        ready = builders.wait_reason("Available")
        assert f"the operator may not create pods in namespace {builders.namespace}" in ready["message"]
    finally:
        allow(builders.control_plane, rules())


def test_a_status_that_may_not_be_written_is_told_in_an_event(builders: Builders) -> None:
    allow(builders.control_plane, rules(without=("patch", "buildkitbuilders/status")))
    try:
        builders.create(mode="Sidecar")

        builders.wait("the event", lambda: ("Warning", "Rejected") in builders.events())
    finally:
        allow(builders.control_plane, rules())
    builders.wait_reason("Available")
