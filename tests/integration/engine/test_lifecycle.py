"""Start and end of the process: what the kubelet sees of it."""

from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from hack.cluster.controlplane import ControlPlane
from tests.integration.engine.conftest import install
from tests.integration.engine.proxy import FaultProxy
from tests.integration.engine.widget_namespace import Widgets, until
from tests.integration.engine.widget_operator import WidgetOperator

StartOperator = Callable[..., WidgetOperator]


def active(operator: WidgetOperator) -> bool:
    return operator.metric("buildkit_operator_active_workers") > 0


def test_before_the_cache_is_filled_it_is_alive_and_not_ready(
    widgets: Widgets, start_operator: StartOperator, tmp_path: Path
) -> None:
    with FaultProxy(widgets.control_plane) as proxy:
        kubeconfig = proxy.write_kubeconfig(tmp_path / "kubeconfig")
        with proxy.answering(HTTPStatus.SERVICE_UNAVAILABLE):
            operator = start_operator(widgets, kubeconfig=kubeconfig, ready=False)
            until(lambda: operator.get("/livez") == (200, "ok\n"))
            assert operator.get("/readyz") == (503, "The cache is not filled yet.\n")

        operator.wait_ready()


def test_metrics_are_there(widgets: Widgets, start_operator: StartOperator) -> None:
    operator = start_operator(widgets)
    widgets.create("one", "first")
    until(lambda: widgets.seen("one") == "first")

    for name in ("build_info", "api_requests_total", "reconcile_total", "reconcile_time_seconds_count"):
        assert operator.metric(f"buildkit_operator_{name}") > 0
    assert operator.metric("process_resident_memory_bytes") > 0


def test_a_running_reconcile_may_end(widgets: Widgets, start_operator: StartOperator) -> None:
    operator = start_operator(widgets)
    widgets.create("one", "first", seconds=1)
    until(lambda: active(operator))

    operator.terminate()

    assert operator.wait() == 0
    assert widgets.seen("one") == "first"


def test_a_slow_reconcile_does_not_hold_up_the_end(widgets: Widgets, start_operator: StartOperator) -> None:
    operator = start_operator(widgets, lease=True)
    widgets.create("one", "first", seconds=600)
    until(lambda: active(operator))

    operator.terminate()

    assert operator.wait() == 0
    assert widgets.value("one") is None


def test_an_idle_operator_ends_when_told(widgets: Widgets, start_operator: StartOperator) -> None:
    operator = start_operator(widgets)

    operator.terminate()

    assert operator.wait() == 0


def test_it_ends_while_it_still_waits_for_the_api_server(
    widgets: Widgets, start_operator: StartOperator, tmp_path: Path
) -> None:
    with FaultProxy(widgets.control_plane) as proxy:
        kubeconfig = proxy.write_kubeconfig(tmp_path / "kubeconfig")
        with proxy.answering(HTTPStatus.SERVICE_UNAVAILABLE):
            operator = start_operator(widgets, kubeconfig=kubeconfig, ready=False)
            until(lambda: operator.get("/livez")[0] == 200)

            operator.terminate()

            assert operator.wait() == 0


def test_a_definition_that_is_deleted_is_waited_for(
    start_control_plane: Callable[..., ControlPlane], start_operator: StartOperator
) -> None:
    control_plane = start_control_plane()
    install(control_plane)
    widgets = Widgets(control_plane, "default")
    operator = start_operator(widgets)
    widgets.create("one", "first")
    until(lambda: widgets.seen("one") == "first")

    control_plane.kubectl("delete", "crd", "widgets.engine.test")
    until(lambda: "does not serve" in operator.log.read_text())
    install(control_plane)
    widgets.create("two", "second")

    until(lambda: widgets.seen("two") == "second")
    assert operator.running
