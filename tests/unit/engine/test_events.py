"""The event recorder: each event is told once, however many there are, and one namespace leaves room for others."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from typing import Any, cast

import pytest

from buildkit_operator.engine import events as module
from buildkit_operator.engine.events import EventRecorder
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.clock import ServerClock
from buildkit_operator.kube.errors import Conflict
from buildkit_operator.kube.resources import Manifest


class Sink:
    """Takes events while it is open."""

    def __init__(self) -> None:
        self.clock = ServerClock()
        self.taken: list[Manifest] = []
        self.open = asyncio.Event()
        self.open.set()

    async def create(self, event: Manifest) -> None:
        await self.open.wait()
        if any(event["metadata"] == taken["metadata"] for taken in self.taken):
            raise Conflict("POST …: already exists (409)")
        self.taken.append(event)

    def told(self, namespace: str = "ci") -> list[str]:
        return [event["note"] for event in self.taken if event["metadata"]["namespace"] == namespace]


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
async def recorder(sink: Sink) -> AsyncIterator[EventRecorder]:
    recorder = EventRecorder(cast("Client", sink), "test/controller", "test", lambda text, _length: text)
    writing = asyncio.create_task(recorder.run())
    yield recorder
    writing.cancel()


def pod(number: int, namespace: str = "ci") -> Manifest:
    metadata: Any = {"name": f"pod-{number}", "namespace": namespace, "uid": f"{namespace}-{number}"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata | {"resourceVersion": "1"}}


async def reconcile(recorder: EventRecorder, pods: Iterable[Manifest]) -> None:
    """Tell of each pod that it fails, as each reconcile does, and wait until that is written."""
    for failing in pods:
        recorder.event(failing, "Warning", "CrashLoop", f"{failing['metadata']['name']} failed.", "Inject")
    await recorder.flush()


async def test_ten_thousand_failing_pods_are_each_told_of_once(recorder: EventRecorder, sink: Sink) -> None:
    pods = [pod(number) for number in range(10_000)]

    for _ in range(42):
        await reconcile(recorder, pods)

    assert sorted(sink.told()) == sorted(f"pod-{number} failed." for number in range(10_000))


async def test_what_was_dropped_is_told_later_and_the_drop_once(
    recorder: EventRecorder, sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    pods = [pod(number) for number in range(3 * module.WAITING_EVENTS)]
    sink.open.clear()
    for failing in pods * 3:
        recorder.event(failing, "Warning", "CrashLoop", f"{failing['metadata']['name']} failed.", "Inject")
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1

    sink.open.set()
    for _ in range(10):
        await reconcile(recorder, pods)

    assert len(sink.told()) == len(set(sink.told())) == len(pods)


async def test_one_namespace_leaves_room_for_another(
    recorder: EventRecorder, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED_EVENTS", 1000)
    sink.open.clear()
    for failing in [*(pod(number) for number in range(5000)), pod(1, "other")]:
        recorder.event(failing, "Warning", "CrashLoop", f"{failing['metadata']['name']} failed.", "Inject")
    sink.open.set()
    for _ in range(30):
        await reconcile(recorder, (pod(number) for number in range(5000)))

    assert sink.told("other") == ["pod-1 failed."]
    assert len(sink.told()) == 1000


async def test_it_is_told_again_after_a_while(
    recorder: EventRecorder, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPEAT_SECONDS", 0.1)
    await reconcile(recorder, [pod(1)])
    await reconcile(recorder, [pod(1)])
    await asyncio.sleep(0.15)
    await reconcile(recorder, [pod(1)])

    assert sink.told() == ["pod-1 failed."] * 2


async def test_odd_unicode_is_no_reason_to_fail(recorder: EventRecorder, sink: Sink) -> None:
    recorder.event(pod(1), "Warning", "CrashLoop", "half a \ud83d pair", "Inject")
    await recorder.flush()

    assert sink.told() == ["half a \ud83d pair"]


async def test_what_is_still_so_is_not_told_again_by_the_next_process(sink: Sink) -> None:
    for _ in range(2):
        recorder = EventRecorder(cast("Client", sink), "test/controller", "test", lambda text, _length: text)
        writing = asyncio.create_task(recorder.run())
        recorder.event(pod(1), "Warning", "CrashLoop", "It failed.", "Inject", is_state=True)
        recorder.event(pod(1), "Warning", "CrashLoop", "It failed once more.", "Inject", is_state=True)
        await recorder.flush()
        writing.cancel()

    assert sorted(sink.told()) == ["It failed once more.", "It failed."]
