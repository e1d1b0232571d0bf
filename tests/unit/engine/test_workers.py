"""Workers: failures come back, nobody writes out of turn, and the end is orderly."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from buildkit_operator.engine import workers as module
from buildkit_operator.engine.leader_election import NoLeaderElection, NotLeader
from buildkit_operator.engine.metrics import ControllerMetrics
from buildkit_operator.engine.queue import WorkQueue
from buildkit_operator.engine.workers import Workers
from buildkit_operator.kube.errors import Unavailable
from buildkit_operator.kube.resources import Key

KEY: Key = ("ci", "main")


class Turn(NoLeaderElection):
    """A leadership that the test gives and takes."""

    def __init__(self) -> None:
        self.mine = asyncio.Event()

    def is_leader(self) -> bool:
        return self.mine.is_set()

    async def wait_until_leader(self) -> None:
        await self.mine.wait()


class Bench:
    """Two workers, whose reconcile the test writes."""

    def __init__(self) -> None:
        self.queue: WorkQueue[Key] = WorkQueue()
        self.metrics = ControllerMetrics("engine", "1", "widgets")
        self.turn = Turn()
        self.turn.mine.set()
        self.calls = 0
        self.called = asyncio.Event()
        self.workers = Workers(self.queue, self._reconcile, self.turn, self.metrics, 2, "widget")
        self.reconcile: Callable[[], Awaitable[float | None]]

    async def _reconcile(self, _key: Key) -> float | None:
        self.calls += 1
        self.called.set()
        return await self.reconcile()

    async def called_again(self) -> None:
        self.called.clear()
        await asyncio.wait_for(self.called.wait(), timeout=10)

    async def waits_for_its_turn(self) -> None:
        """Assert that what is added is done when the turn comes, and not before."""
        self.queue.add(KEY)
        await settled()
        assert self.calls == 0

        self.turn.mine.set()

        await self.called_again()

    def count(self, result: str) -> float:
        return (
            self.metrics.registry.get_sample_value(
                "engine_reconcile_total", {"controller": "widgets", "result": result}
            )
            or 0.0
        )


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.workers.drain(0)


async def succeed() -> None:
    return None


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_success_is_final(bench: Bench) -> None:
    async def reconcile() -> None:
        return None

    bench.reconcile = reconcile
    bench.workers.start()
    bench.queue.add(KEY)
    await bench.called_again()
    await settled()

    assert bench.count("success") == 1
    assert bench.calls == 1


async def test_one_that_asks_for_it_is_called_again(bench: Bench) -> None:
    async def reconcile() -> float | None:
        return 0.01 if bench.calls == 1 else None

    bench.reconcile = reconcile
    bench.workers.start()
    bench.queue.add(KEY)
    await bench.called_again()
    await bench.called_again()
    await settled()

    assert (bench.count("requeue_after"), bench.count("success")) == (1, 1)


@pytest.mark.parametrize("error", [ValueError("broken"), Unavailable("away"), TimeoutError()])
async def test_a_failure_is_tried_again(
    bench: Bench, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def reconcile() -> None:
        if bench.calls == 1:
            raise error

    monkeypatch.setattr("buildkit_operator.engine.queue.FIRST_BACKOFF", 0.01)
    bench.reconcile = reconcile
    bench.workers.start()
    bench.queue.add(KEY)
    await bench.called_again()
    await bench.called_again()
    await settled()

    assert (bench.count("error"), bench.count("success")) == (1, 1)
    assert (str(error) or type(error).__name__) in caplog.text
    assert ("Traceback" in caplog.text) == isinstance(error, ValueError)


async def test_a_server_that_asks_for_time_gets_it(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    async def reconcile() -> None:
        raise Unavailable("later", retry_after=30)

    bench.reconcile = reconcile
    bench.workers.start()
    bench.queue.add(KEY)
    await bench.called_again()
    await settled()

    assert "next attempt in 30.0 seconds" in caplog.text


async def test_one_that_hangs_is_broken_off(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def reconcile() -> None:
        if bench.calls == 1:
            await asyncio.Event().wait()

    monkeypatch.setattr("buildkit_operator.engine.queue.FIRST_BACKOFF", 0.01)
    monkeypatch.setattr(module, "RECONCILE_SECONDS", 0.01)
    bench.reconcile = reconcile
    bench.workers.start()
    bench.queue.add(KEY)
    await bench.called_again()
    await bench.called_again()
    await settled()

    assert (bench.count("error"), bench.count("success")) == (1, 1)


async def test_a_replica_that_stands_by_does_nothing(bench: Bench) -> None:
    bench.reconcile = succeed
    bench.turn.mine.clear()
    bench.workers.start()

    await bench.waits_for_its_turn()


async def test_a_turn_that_ended_while_there_was_nothing_to_do_has_ended(bench: Bench) -> None:
    bench.reconcile = succeed
    bench.workers.start()
    await settled()
    bench.turn.mine.clear()

    await bench.waits_for_its_turn()


async def test_what_the_fence_stopped_is_done_at_the_next_turn(bench: Bench) -> None:
    async def reconcile() -> None:
        if bench.calls == 1:
            bench.turn.mine.clear()
            raise NotLeader

    bench.reconcile = reconcile
    bench.workers.start()
    bench.queue.add(KEY)
    await bench.called_again()
    await settled()
    assert bench.calls == 1

    bench.turn.mine.set()

    await bench.called_again()
    await settled()
    assert bench.count("error") == 0


async def test_draining_lets_a_running_reconcile_end(bench: Bench) -> None:
    ended = False
    may_end = asyncio.Event()

    async def reconcile() -> None:
        nonlocal ended
        await may_end.wait()
        ended = True

    bench.reconcile = reconcile
    bench.workers.start()
    bench.queue.add(KEY)
    await bench.called_again()
    bench.queue.add(("ci", "other"))
    bench.queue.add(("ci", "third"))
    draining = asyncio.create_task(bench.workers.drain(5))
    await settled()
    calls = bench.calls

    may_end.set()
    await draining

    assert ended
    assert bench.calls == calls, "nothing new was begun"


async def test_draining_ends_in_time(bench: Bench) -> None:
    async def reconcile() -> None:
        await asyncio.Event().wait()

    bench.reconcile = reconcile
    tasks = bench.workers.start()
    bench.queue.add(KEY)
    await bench.called_again()

    await asyncio.wait_for(bench.workers.drain(0.01), timeout=10)

    assert all(task.done() for task in tasks)


async def test_health_tells_of_a_worker_that_is_stuck(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def reconcile() -> None:
        await asyncio.Event().wait()

    bench.reconcile = reconcile
    bench.workers.start()
    bench.queue.add(KEY)
    await bench.called_again()
    assert bench.workers.check_liveness() is None

    monkeypatch.setattr(module, "STUCK_SECONDS", -1)

    assert "running for" in (bench.workers.check_liveness() or "")


async def test_health_tells_of_a_worker_that_ended(bench: Bench) -> None:
    tasks = bench.workers.start()

    tasks[0].cancel()
    await settled()

    assert bench.workers.check_liveness() == "A worker ended."
