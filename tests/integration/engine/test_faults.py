"""The API server is away, overloaded, or refuses us for a while: the operator stays, catches up and loses nothing."""

import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path

import pytest

from hack.cluster.controlplane import ControlPlane
from tests.integration.engine.conftest import install
from tests.integration.engine.proxy import FaultProxy
from tests.integration.engine.widget_namespace import Widgets, until
from tests.integration.engine.widget_operator import WidgetOperator

StartOperator = Callable[..., WidgetOperator]


@pytest.fixture
def proxy(control_plane: ControlPlane) -> Iterator[FaultProxy]:
    with FaultProxy(control_plane) as running:
        yield running


@pytest.fixture
def operator(widgets: Widgets, proxy: FaultProxy, start_operator: StartOperator, tmp_path: Path) -> WidgetOperator:
    started = start_operator(widgets, kubeconfig=proxy.write_kubeconfig(tmp_path / "kubeconfig"))
    widgets.create("one", "first")
    until(lambda: widgets.seen("one") == "first")
    return started


def test_one_401_is_nothing(widgets: Widgets, proxy: FaultProxy, operator: WidgetOperator) -> None:
    proxy.answer_next(HTTPStatus.UNAUTHORIZED, times=1)

    widgets.edit("one", "second")

    until(lambda: widgets.seen("one") == "second")
    assert proxy.refused == 1
    assert operator.running


@pytest.mark.parametrize(
    "status",
    [
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ],
)
def test_refusals_for_a_while_are_survived(
    widgets: Widgets, proxy: FaultProxy, operator: WidgetOperator, status: HTTPStatus
) -> None:
    with proxy.answering(status):
        widgets.edit("one", "second")
        widgets.create("two", "first")
        widgets.delete("configmaps", "one")
        # Three watches, each refused again after its first backoffs.
        until(lambda: proxy.refused >= 9, seconds=30)
        assert operator.running

    until(
        lambda: widgets.seen("one") == "second" and widgets.value("one") == "second" and widgets.seen("two") == "first"
    )


def test_an_absent_api_server_is_waited_for(widgets: Widgets, proxy: FaultProxy, operator: WidgetOperator) -> None:
    with proxy.away():
        widgets.edit("one", "second")
        widgets.create("two", "first")
        # That it is away for long is the point, and nothing tells when it has been long enough.
        time.sleep(20)
        assert operator.running
        assert operator.get("/livez")[0] == 200

    until(lambda: widgets.seen("one") == "second" and widgets.seen("two") == "first")


def test_the_start_waits_for_the_api_server(
    widgets: Widgets, proxy: FaultProxy, start_operator: StartOperator, tmp_path: Path
) -> None:
    widgets.create("one", "first")
    proxy.answer_next(HTTPStatus.SERVICE_UNAVAILABLE, times=2)

    start_operator(widgets, kubeconfig=proxy.write_kubeconfig(tmp_path / "kubeconfig"))

    until(lambda: widgets.seen("one") == "first")
    assert proxy.refused == 2


@pytest.mark.parametrize(
    ("others", "resync_seconds"),
    [pytest.param(1, 300, id="others are listed anew"), pytest.param(0, 4, id="nothing is left to list")],
)
def test_a_deletion_missed_during_a_restart_is_found(
    start_control_plane: Callable[..., ControlPlane],
    start_operator: StartOperator,
    tmp_path: Path,
    others: int,
    resync_seconds: float,
) -> None:
    control_plane = start_control_plane()
    install(control_plane)
    widgets = Widgets(control_plane, "default")
    with FaultProxy(control_plane) as proxy:
        kubeconfig = proxy.write_kubeconfig(tmp_path / "kubeconfig")
        operator = start_operator(widgets, kubeconfig=kubeconfig, resync_seconds=resync_seconds)
        names = ["one", *(f"other-{number}" for number in range(others))]
        for name in names:
            widgets.create(name, "first")
        until(lambda: widgets.all_seen("first", len(names)))

        with proxy.away():
            control_plane.kill_api_server()
            control_plane.start_api_server()
            widgets.delete("configmaps", "one")

        until(lambda: widgets.value("one") == "first", seconds=30)
        assert operator.metric("buildkit_operator_missed_deletions_total") == 1
