"""Health and metrics over HTTP."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from buildkit_operator.engine.health import HealthServer
from buildkit_operator.engine.metrics import CommonMetrics


class Patient:
    def __init__(self) -> None:
        self.liveness: str | None = None
        self.readiness: str | None = None
        self.port = 0

    async def ask(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}{path}") as answer:
            return answer.status, await answer.text()


@pytest.fixture
async def patient() -> AsyncIterator[Patient]:
    patient = Patient()
    server = HealthServer(0, CommonMetrics("engine", "1"), lambda: patient.liveness, lambda: patient.readiness)
    patient.port = await server.start()
    yield patient
    await server.stop()


async def test_all_is_well(patient: Patient) -> None:
    assert await patient.ask("/livez") == (200, "ok\n")
    assert await patient.ask("/readyz") == (200, "ok\n")


async def test_what_is_wrong_is_said(patient: Patient) -> None:
    patient.readiness = "The cache is not filled yet."

    assert await patient.ask("/livez") == (200, "ok\n")
    assert await patient.ask("/readyz") == (503, "The cache is not filled yet.\n")

    patient.liveness = "A worker ended."

    assert await patient.ask("/livez") == (503, "A worker ended.\n")


async def test_metrics_are_served(patient: Patient) -> None:
    status, text = await patient.ask("/metrics")

    assert status == 200
    assert "engine_build_info" in text


async def test_nothing_else_is(patient: Patient) -> None:
    assert (await patient.ask("/"))[0] == 404
