"""Start and end of the process: what the kubelet sees of it."""

import time
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from hack.cluster.controlplane import ControlPlane
from tests.integration.engine.conftest import install
from tests.integration.engine.process import OperatorProcess
from tests.integration.engine.proxy import FaultProxy
from tests.integration.engine.world import World, until

StartOperator = Callable[..., OperatorProcess]
STOP_SECONDS = 5


def active(operator: OperatorProcess) -> bool:
    return operator.metric("buildkit_operator_active_workers") > 0


def test_before_the_cache_is_filled_it_is_alive_and_not_ready(
    world: World, start_operator: StartOperator, tmp_path: Path
) -> None:
    with FaultProxy(world.control_plane) as proxy:
        kubeconfig = proxy.write_kubeconfig(tmp_path / "kubeconfig")
        with proxy.answering(HTTPStatus.SERVICE_UNAVAILABLE):
            operator = start_operator(world, kubeconfig=kubeconfig, ready=False)
            until(lambda: operator.get("/livez") == (200, "ok\n"))
            assert operator.get("/readyz") == (503, "The cache is not filled yet.\n")

        operator.wait_ready()


def test_metrics_are_there(world: World, start_operator: StartOperator) -> None:
    operator = start_operator(world)
    world.create("one", "first")
    until(lambda: world.seen("one") == "first")

    for name in ("build_info", "api_requests_total", "reconcile_total", "reconcile_time_seconds_count"):
        assert operator.metric(f"buildkit_operator_{name}") > 0
    assert operator.metric("process_resident_memory_bytes") > 0


def test_a_running_reconcile_may_end(world: World, start_operator: StartOperator) -> None:
    operator = start_operator(world)
    world.create("one", "first", seconds=1)
    until(lambda: active(operator))

    operator.terminate()

    assert operator.wait(STOP_SECONDS) == 0
    assert world.seen("one") == "first"


def test_a_slow_reconcile_does_not_hold_up_the_end(world: World, start_operator: StartOperator) -> None:
    operator = start_operator(world, lease=True)
    world.create("one", "first", seconds=60)
    until(lambda: active(operator))

    operator.terminate()
    asked_at = time.monotonic()

    assert operator.wait(STOP_SECONDS) == 0
    assert time.monotonic() - asked_at < STOP_SECONDS
    assert world.value("one") is None


def test_an_idle_end_is_quick(world: World, start_operator: StartOperator) -> None:
    operator = start_operator(world)

    operator.terminate()

    assert operator.wait(2) == 0


def test_it_ends_while_it_still_waits_for_the_api_server(
    world: World, start_operator: StartOperator, tmp_path: Path
) -> None:
    with FaultProxy(world.control_plane) as proxy:
        kubeconfig = proxy.write_kubeconfig(tmp_path / "kubeconfig")
        with proxy.answering(HTTPStatus.SERVICE_UNAVAILABLE):
            operator = start_operator(world, kubeconfig=kubeconfig, ready=False)
            until(lambda: operator.get("/livez")[0] == 200)

            operator.terminate()

            assert operator.wait(STOP_SECONDS) == 0


def test_a_definition_that_is_deleted_is_waited_for(
    start_control_plane: Callable[..., ControlPlane], start_operator: StartOperator
) -> None:
    control_plane = start_control_plane()
    install(control_plane)
    world = World(control_plane, "default")
    operator = start_operator(world)
    world.create("one", "first")
    until(lambda: world.seen("one") == "first")

    control_plane.kubectl("delete", "crd", "widgets.engine.test")
    until(lambda: "does not serve" in operator.log.read_text())
    install(control_plane)
    world.create("two", "second")

    until(lambda: world.seen("two") == "second")
    assert operator.running
