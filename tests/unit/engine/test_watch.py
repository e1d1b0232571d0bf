"""What becomes of the events that watches bring."""

from typing import Any

import pytest

from buildkit_operator.api import names
from buildkit_operator.controller.watched import BUILDERS
from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.watch import Watches
from buildkit_operator.kube.auth import Connection, TokenFile
from buildkit_operator.kube.resources import CONFIG_MAP, Key, Manifest, Resource

KEY: Key = ("ci", "main")


class Bench:
    """A watch of ConfigMaps whose events the test makes up."""

    def __init__(self, connection: Connection) -> None:
        self.cache = Cache(BUILDERS)
        self.enqueued: list[Key] = []
        self.relisted: list[Resource] = []
        self.watches = Watches(connection, BUILDERS, (), self.cache, self.enqueued.append, self.relisted.append)

    def bring(self, event_type: str | None, version: int, owner: str = "main") -> None:
        metadata: Manifest = {"name": "toml", "namespace": "ci", "uid": "u1", "resourceVersion": str(version)}
        metadata["labels"] = {names.OWNER_LABEL: owner}
        controller = {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": owner,
            "uid": "b",
            "controller": True,
        }
        metadata["ownerReferences"] = [controller]
        self.watches.take_in(CONFIG_MAP, event_type, {"kind": "ConfigMap", "metadata": metadata})


@pytest.fixture
def bench(tmp_path: Any) -> Bench:
    return Bench(Connection("https://127.0.0.1:1", TokenFile(tmp_path / "token")))


@pytest.mark.parametrize("event_type", [None, "ADDED", "MODIFIED"])
def test_news_is_enqueued_once(bench: Bench, event_type: str | None) -> None:
    bench.bring(event_type, 5)
    bench.bring(event_type, 5)
    bench.bring(event_type, 4)

    assert bench.enqueued == [KEY]
    assert bench.cache.get(CONFIG_MAP, "ci", "toml") is not None


def test_a_deletion_is_news(bench: Bench) -> None:
    bench.bring("ADDED", 5)
    bench.bring("DELETED", 6)

    assert bench.enqueued == [KEY, KEY]
    assert bench.cache.get(CONFIG_MAP, "ci", "toml") is None


def test_a_listed_object_asks_for_a_comparison(bench: Bench) -> None:
    bench.bring("ADDED", 5)
    assert bench.relisted == []

    bench.bring(None, 5)

    assert bench.relisted == [CONFIG_MAP]
