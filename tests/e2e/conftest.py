"""A real cluster with the operator in it, up for the session, and a namespace for each test."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack

import pytest

from buildkit_operator.kube.resources import Manifest
from hack.cluster.installation import running_cluster
from hack.cluster.kubectl import Kubectl, wait_for


@pytest.fixture(scope="session")
def cluster(progress_shown: Callable[[], AbstractContextManager[None]]) -> Iterator[Kubectl]:
    """Return kubectl for a cluster that runs the operator of this checkout; what was not up before goes afterwards."""
    with ExitStack() as stack:
        with progress_shown():
            kubectl = stack.enter_context(running_cluster())
        yield kubectl


@pytest.fixture
def fresh_name() -> str:
    """Return a name that nothing has yet."""
    return f"team-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def team(cluster: Kubectl) -> Iterator[Kubectl]:
    """Return kubectl for a namespace of this test's own."""
    yield from _namespace(cluster)


@pytest.fixture(scope="module")
def team_for_module(cluster: Kubectl) -> Iterator[Kubectl]:
    """Return kubectl for a namespace of this module's own."""
    yield from _namespace(cluster)


def _namespace(cluster: Kubectl) -> Iterator[Kubectl]:
    name = f"team-{uuid.uuid4().hex[:8]}"
    yield cluster.create_namespace(name)
    cluster("delete", "namespace", name, "--wait=false")


@pytest.fixture
def hardening_policy(cluster: Kubectl, team: Kubectl) -> Iterator[str]:
    """Make the API server do in the test's namespace what many admins have a policy engine do everywhere."""
    name = f"no-escalation-{team.namespace}"
    cluster.apply(*_hardening(name, team.namespace))
    wait_for("the API server applies the policy", lambda: "allowPrivilegeEscalation" in _pod_as_admitted(team))
    yield name
    cluster("delete", f"mutatingadmissionpolicy/{name}", f"mutatingadmissionpolicybinding/{name}")


def _pod_as_admitted(team: Kubectl) -> str:
    """Return a pod as the API server would store it now."""
    return team("run", "probe", "--image=none", "--dry-run=server", "--output=yaml")


def _hardening(name: str, namespace: str) -> list[Manifest]:
    kinds = ("containers", "initContainers")
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    version = "admissionregistration.k8s.io/v1"
    return [
        {
            "apiVersion": version,
            "kind": "MutatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                    "resourceRules": [rule],
                },
                "failurePolicy": "Fail",
                # For containers that others add later.
                "reinvocationPolicy": "IfNeeded",
                "mutations": [
                    {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": _without_escalation(kind)}}
                    for kind in kinds
                ],
            },
        },
        {
            "apiVersion": version,
            "kind": "MutatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {"policyName": name},
        },
    ]


def _without_escalation(kind: str) -> str:
    return (
        f"Object{{spec: Object.spec{{{kind}: object.spec.?{kind}.orValue([]).map(c, Object.spec.{kind}{{name: c.name, "
        f"securityContext: Object.spec.{kind}.securityContext{{allowPrivilegeEscalation: false}}}})}}}}"
    )
