"""How end-to-end tests are shared out to workers: those that disturb the operator come last, and alone."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.e2e.scheduling import EXCLUSIVE, GROUPS, ExclusiveLast

TESTS = ("one", "two", "three", "four@file", "five@file", "six@exclusive", "seven@exclusive")


@pytest.fixture(autouse=True)
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "groups.json"
    file.write_text(json.dumps({test: test.partition("@")[2] for test in TESTS if "@" in test}))
    monkeypatch.setenv(GROUPS, str(file))


class Worker:
    """What xdist's schedulers know of a worker; it has run nothing but what it is told to have."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.given: list[str] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: list[int]) -> None:
        self.given += [TESTS[index] for index in indices]

    def shutdown(self) -> None:
        self.shutting_down = True


class Run:
    """A distribution of the tests to workers."""

    def __init__(self, count: int) -> None:
        option = SimpleNamespace(loadscopereorder=False)
        config: Any = SimpleNamespace(option=option, getvalue=lambda _: ["popen"] * count)
        self.scheduler = ExclusiveLast(config)
        self.workers = [Worker(f"gw{number}") for number in range(count)]
        self.done: list[str] = []
        for worker in self.workers:
            self.scheduler.add_node(worker)
            self.scheduler.add_node_collection(worker, list(TESTS))
        self.scheduler.schedule()

    def finish(self, worker: Worker) -> None:
        """Let a worker run what it has been given; its last test waits for more to come, or for its end."""
        while (waiting := [test for test in worker.given if test not in self.done]) and (
            len(waiting) > 1 or worker.shutting_down
        ):
            self.done.append(waiting[0])
            self.scheduler.mark_test_complete(worker, TESTS.index(waiting[0]))
        if worker.shutting_down and worker in self.scheduler.nodes:
            self.scheduler.remove_node(worker)


def test_exclusive_tests_begin_when_all_other_workers_have_ended() -> None:
    run = Run(3)
    first, *others = run.workers

    for worker in run.workers:
        run.finish(worker)
    assert not [test for worker in run.workers for test in worker.given if EXCLUSIVE in test and worker is not first]
    for worker in others:
        run.finish(worker)
        assert worker not in run.scheduler.nodes
    run.finish(first)

    assert set(run.done) == set(TESTS)
    assert run.done[-2:] == ["six@exclusive", "seven@exclusive"]
    assert first.given[-2:] == run.done[-2:]
    assert run.scheduler.tests_finished


def test_tests_of_one_group_share_a_worker() -> None:
    run = Run(2)

    (given,) = [worker.given for worker in run.workers if "four@file" in worker.given]

    assert "five@file" in given


def test_a_single_worker_runs_everything() -> None:
    run = Run(1)

    run.finish(run.workers[0])

    assert run.done == list(TESTS)


def test_what_a_crashed_worker_leaves_is_run_before_the_exclusive_tests() -> None:
    run = Run(2)
    first, crashed = run.workers
    left = set(crashed.given)

    run.scheduler.remove_node(crashed)
    run.finish(first)

    assert left <= set(run.done)
    assert run.done[-2:] == ["six@exclusive", "seven@exclusive"]
