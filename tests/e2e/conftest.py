"""A real cluster with the operator in it, up for the session, and a namespace for each test.

Run by xdist (`pytest tests/e2e -n 4`), tests go side by side on the one cluster, which the controlling process brings
up before its workers start and takes down after they have ended.
"""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from xdist.remote import Producer

from buildkit_operator.kube.resources import Manifest
from hack.cluster.installation import running_cluster
from hack.cluster.kubectl import Kubectl, wait_for
from tests.conftest import uncaptured
from tests.e2e.scheduling import GROUPS, ExclusiveLast, arrange, is_in, write_groups

SHARED: Final = "BUILDKIT_OPERATOR_E2E_KUBECTL"
"""For workers: the program and the kubeconfig of the cluster that the controlling process has brought up."""

_held: Final = ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    if _controls(config):
        # The order is that of `arrange`.
        config.option.loadscopereorder = False


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    if _controls(session.config) and not session.config.option.collectonly:
        os.environ[GROUPS] = f"{_held.enter_context(TemporaryDirectory())}/groups.json"
        with uncaptured(session.config):
            kubectl = _held.enter_context(running_cluster())
        os.environ[SHARED] = f"{kubectl.program}{os.pathsep}{kubectl.kubeconfig}"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    with uncaptured(session.config):
        _held.close()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ExclusiveLast:
    return ExclusiveLast(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not _is_worker(config):
        return
    assert GROUPS in os.environ, "Workers share a cluster only where pytest is told of tests/e2e by name."
    mine = [item for item in items if is_in(Path(__file__).parent, item)]
    write_groups(mine)
    items[:] = [item for item in items if item not in mine] + arrange(mine)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _controls(config: pytest.Config) -> bool:
    """Tell whether this process hands tests to workers."""
    return not _is_worker(config) and config.getoption("dist", "no") != "no"


@pytest.fixture(scope="session")
def cluster(
    request: pytest.FixtureRequest, progress_shown: Callable[[], AbstractContextManager[None]]
) -> Iterator[Kubectl]:
    """Return kubectl for a cluster that runs the operator of this checkout; what was not up before goes afterwards."""
    if _is_worker(request.config):
        program, kubeconfig = os.environ[SHARED].split(os.pathsep)
        yield Kubectl(Path(program), Path(kubeconfig))
        return
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
