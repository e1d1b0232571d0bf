"""One daemon's loop: nothing that a daemon does ends it, or keeps what all are told by from being rendered."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any, Final

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from buildkit_operator.exporter.collector import BuilderCollector
from buildkit_operator.exporter.scraper import Scraper
from buildkit_operator.exporter.targets import BuilderTarget, DaemonPod
from buildkit_operator.exporter.turns import ScrapeLimits
from buildkit_operator.settings import ExporterSettings
from tests.support.hostile_daemons import GOOD, HOST, KINDS, hostile_daemons

SETTINGS: Final = ExporterSettings(
    interval_seconds=0.1, timeout_seconds=1, disk_usage_interval_seconds=0.1, disk_usage_timeout_seconds=1
)


class NoSecrets:
    """Builders without TLS have none."""

    def forget(self, namespace: str, name: str) -> None:
        """Know nothing."""


class AllScrapers:
    """What the collector asks."""

    def __init__(self, scrapers: list[Scraper]) -> None:
        self._scrapers = scrapers

    def builders(self) -> list[BuilderTarget]:
        return []

    def readings(self) -> Iterator[tuple[DaemonPod, Any]]:
        for scraper in self._scrapers:
            yield scraper.pod, scraper.reading


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """Run the hostile ones in one process and the good one in another, so that it is not they who keep it from it."""
    with hostile_daemons() as hostile, hostile_daemons() as good:
        yield hostile | {GOOD: good[GOOD]}


def scraper(namespace: str, name: str, port: int, limits: ScrapeLimits) -> Scraper:
    pod = DaemonPod(namespace, "demo", name, name, (HOST, port), None)
    secrets: Any = NoSecrets()
    return Scraper(pod, secrets, SETTINGS, limits)


async def test_a_namespace_full_of_hostile_daemons_costs_another_nothing(ports: dict[str, int]) -> None:
    limits = ScrapeLimits(SETTINGS.concurrency)
    hostile = [scraper("hostile", kind, ports[kind], limits) for kind in KINDS if kind != GOOD for _ in range(3)]
    good = [scraper("team", f"good-{n}", ports[GOOD], limits) for n in range(3)]
    registry = CollectorRegistry()
    collected: Any = AllScrapers([*hostile, *good])
    registry.register(BuilderCollector(collected))
    tasks = [asyncio.create_task(one.run()) for one in (*hostile, *good)]
    try:
        await asyncio.sleep(1.5)
        for _ in range(35):
            await asyncio.sleep(0.1)
            rendered = generate_latest(registry).decode()
            assert all(one.reading.up for one in good)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)

    assert all(isinstance(end, asyncio.CancelledError) for end in ended)
    assert all(one.reading.up and one.reading.disk_usage for one in good)
    assert 'cache_bytes{builder="demo",namespace="team",pod="good-1"} 1000.0' in rendered


async def test_what_nobody_foresaw_is_logged_once_and_the_next_question_is_asked(
    ports: dict[str, int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one = scraper("team", "good-0", ports[GOOD], ScrapeLimits(4))

    async def fail(*_: object) -> None:
        raise RuntimeError("nobody foresaw it")

    with caplog.at_level(logging.INFO), monkeypatch.context() as patched:
        patched.setattr("buildkit_operator.exporter.scraper.BuildKitClient.activity", fail)
        task = asyncio.create_task(one.run())
        await asyncio.sleep(0.5)
        assert one.reading.activity is None
    with caplog.at_level(logging.INFO):
        await asyncio.sleep(0.5)
    task.cancel()

    up: bool = one.reading.up
    assert up
    said = [record.message for record in caplog.records if "answer" in record.message]
    assert said == ["Daemon team/good-0 does not answer: nobody foresaw it", "Daemon team/good-0 answers again."]
