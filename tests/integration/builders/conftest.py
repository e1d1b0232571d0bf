"""One operator for the tests that leave it alone; those that stop or kill theirs use an API server of their own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from hack.cluster.controlplane import ControlPlane
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.builder_operator import BuilderOperator

POLICIES: Final = Path(__file__).parents[3] / "deploy/kustomize/components/policies"

StartOperator = Callable[..., BuilderOperator]


@pytest.fixture(scope="session")
def operator(
    control_plane: ControlPlane,
    crds: None,  # noqa: ARG001  before the operator starts
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[BuilderOperator]:
    """Start the operator that serves all namespaces of the shared API server."""
    log = tmp_path_factory.mktemp("operator") / "log"
    # All that it could ever log: one test looks for secrets there.
    shared = BuilderOperator(control_plane.kubeconfig, log, log_level="debug")
    try:
        shared.wait_ready()
        yield shared
    finally:
        shared.kill()


@pytest.fixture
def builders(control_plane: ControlPlane, operator: BuilderOperator, namespace: str) -> Builders:  # noqa: ARG001  it serves
    """Return a namespace of the shared API server that the shared operator serves."""
    return Builders(control_plane, namespace)


@pytest.fixture(scope="session")
def policies(control_plane: ControlPlane, crds: None) -> None:  # noqa: ARG001  their parameters are of this kind
    """Let the shared API server inject."""
    apply_policies(control_plane)


def apply_policies(control_plane: ControlPlane) -> None:
    control_plane.kubectl("apply", "--server-side", f"--kustomize={POLICIES}")


def make_administrator(control_plane: ControlPlane, name: str) -> None:
    """Make a ServiceAccount of the namespace default that may do everything."""
    control_plane.kubectl("create", "serviceaccount", name, "--namespace=default")
    control_plane.kubectl(
        "create", "clusterrolebinding", name, "--clusterrole=cluster-admin", f"--serviceaccount=default:{name}"
    )


@pytest.fixture
def start_operator(tmp_path: Path) -> Iterator[StartOperator]:
    """Return a function that starts an operator for an API server, with settings, and waits until it is ready."""
    with ExitStack() as started:
        count = 0

        def start(control_plane: ControlPlane, **settings: object) -> BuilderOperator:
            nonlocal count
            count += 1
            operator = BuilderOperator(control_plane.kubeconfig, tmp_path / f"operator-{count}.log", **settings)
            started.callback(operator.kill)
            operator.wait_ready()
            return operator

        yield start
