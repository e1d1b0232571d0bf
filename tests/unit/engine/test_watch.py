"""What kopf is told to do, and what becomes of the events that it brings."""

from itertools import islice
from typing import Any

import pytest

from buildkit_operator.api import names
from buildkit_operator.controller.watched import BUILDERS
from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.watch import Backoffs, Watches
from buildkit_operator.kube.auth import Connection, TokenFile
from buildkit_operator.kube.resources import CONFIG_MAP, Key, Manifest, Resource

KEY: Key = ("ci", "main")


def test_backoffs_have_no_end_and_are_never_long() -> None:
    backoffs = list(islice(Backoffs(), 1000))

    assert backoffs[:4] == [0.5, 1.0, 2.0, 3.0]
    assert all(4 <= seconds <= 6 for seconds in backoffs[4:])


class Bench:
    """A watch of ConfigMaps whose events the test makes up."""

    def __init__(self, connection: Connection) -> None:
        self.cache = Cache(BUILDERS)
        self.enqueued: list[Key] = []
        self.relisted: list[Resource] = []
        self.watches = Watches(connection, BUILDERS, (), self.cache, self.enqueued.append, self.relisted.append)

    async def bring(self, event_type: str | None, version: int, owner: str = "main") -> None:
        metadata: Manifest = {"name": "toml", "namespace": "ci", "uid": "u1", "resourceVersion": str(version)}
        metadata["labels"] = {names.OWNER_LABEL: owner}
        event: dict[str, Any] = {"type": event_type, "object": {"kind": "ConfigMap", "metadata": metadata}}
        await self.watches._handler(CONFIG_MAP)(event=event, name="toml", logger=None)


@pytest.fixture
def bench(tmp_path: Any) -> Bench:
    return Bench(Connection("https://127.0.0.1:1", TokenFile(tmp_path / "token")))


@pytest.mark.parametrize("event_type", [None, "ADDED", "MODIFIED"])
async def test_news_is_enqueued_once(bench: Bench, event_type: str | None) -> None:
    await bench.bring(event_type, 5)
    await bench.bring(event_type, 5)
    await bench.bring(event_type, 4)

    assert bench.enqueued == [KEY]
    assert bench.cache.get(CONFIG_MAP, "ci", "toml") is not None


async def test_a_deletion_is_news(bench: Bench) -> None:
    await bench.bring("ADDED", 5)
    await bench.bring("DELETED", 6)

    assert bench.enqueued == [KEY, KEY]
    assert bench.cache.get(CONFIG_MAP, "ci", "toml") is None


async def test_a_listed_object_asks_for_a_comparison(bench: Bench) -> None:
    await bench.bring("ADDED", 5)
    assert bench.relisted == []

    await bench.bring(None, 5)

    assert bench.relisted == [CONFIG_MAP]


def test_the_server_filters_everything_but_builders(bench: Bench) -> None:
    settings = bench.watches._settings()

    for resource in BUILDERS.all:
        kind = (resource.group, resource.version, resource.plural)
        filtered = kind in settings.watching.label_selectors
        assert filtered is (resource != BUILDERS.primary)


def test_kopf_writes_and_asks_for_nothing_of_its_own(bench: Bench) -> None:
    settings = bench.watches._settings()

    assert settings.peering.standalone
    assert not settings.posting.enabled
    assert settings.scanning.disabled
