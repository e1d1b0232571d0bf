"""Widgets on the shared API server, and operators that end with their test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from hack.cluster.controlplane import ControlPlane
from tests.integration.engine.widget_namespace import Widgets
from tests.integration.engine.widget_operator import WidgetOperator
from tests.integration.engine.widgets import CRD

StartOperator = Callable[..., WidgetOperator]


@pytest.fixture(scope="session")
def with_widgets(control_plane: ControlPlane) -> ControlPlane:
    install(control_plane)
    return control_plane


@pytest.fixture
def widgets(with_widgets: ControlPlane, namespace: str) -> Widgets:
    return Widgets(with_widgets, namespace)


@pytest.fixture
def start_operator(tmp_path: Path) -> Iterator[StartOperator]:
    """Return a function that starts an operator for a namespace of Widgets and waits until it is ready."""
    with ExitStack() as started:
        count = 0

        def start(
            widgets: Widgets, *, kubeconfig: Path | None = None, ready: bool = True, **settings: object
        ) -> WidgetOperator:
            nonlocal count
            count += 1
            chosen: dict[str, object] = {"watch_namespaces": widgets.namespace, "lease_namespace": widgets.namespace}
            log = tmp_path / f"operator-{count}.log"
            operator = WidgetOperator(kubeconfig or widgets.control_plane.kubeconfig, log, **{**chosen, **settings})
            started.callback(operator.kill)
            if ready:
                operator.wait_ready()
            return operator

        yield start


def install(control_plane: ControlPlane) -> None:
    """Let an API server know Widgets."""
    control_plane.kubectl("apply", "--server-side", "--filename=-", text=yaml.safe_dump(CRD))
    control_plane.kubectl("wait", "--for=condition=Established", "crd/widgets.engine.test", "--timeout=30s")
