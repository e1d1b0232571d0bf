"""Widgets on the shared API server, and operators that end with their test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from hack.cluster.controlplane import ControlPlane
from tests.integration.engine.process import OperatorProcess
from tests.integration.engine.widgets import CRD
from tests.integration.engine.world import World

StartOperator = Callable[..., OperatorProcess]


@pytest.fixture(scope="session")
def with_widgets(control_plane: ControlPlane) -> ControlPlane:
    install(control_plane)
    return control_plane


@pytest.fixture
def world(with_widgets: ControlPlane, namespace: str) -> World:
    return World(with_widgets, namespace)


@pytest.fixture
def start_operator(tmp_path: Path) -> Iterator[StartOperator]:
    """Return a function that starts an operator for a world's namespace and waits until it is ready."""
    with ExitStack() as started:
        count = 0

        def start(
            world: World, *, kubeconfig: Path | None = None, ready: bool = True, **settings: object
        ) -> OperatorProcess:
            nonlocal count
            count += 1
            chosen: dict[str, object] = {"watch_namespaces": world.namespace, "lease_namespace": world.namespace}
            log = tmp_path / f"operator-{count}.log"
            operator = OperatorProcess(kubeconfig or world.control_plane.kubeconfig, log, {**chosen, **settings})
            started.callback(operator.kill)
            if ready:
                operator.wait_ready()
            return operator

        yield start


def install(control_plane: ControlPlane) -> None:
    """Let an API server know Widgets."""
    control_plane.kubectl("apply", "--server-side", "--filename=-", text=yaml.safe_dump(CRD))
    control_plane.kubectl("wait", "--for=condition=Established", "crd/widgets.engine.test", "--timeout=30s")
