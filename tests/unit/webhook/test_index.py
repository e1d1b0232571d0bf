"""The webhook knows builders as the cache knows them, namespace by namespace."""

import json
import re
from typing import Any

import pytest

from buildkit_operator.admission import policies
from buildkit_operator.engine.cache import Cache
from buildkit_operator.webhook import index
from buildkit_operator.webhook.index import KINDS, BuilderIndex, keep_injection
from tests.unit.make import make_resource


class World:
    def __init__(self) -> None:
        self.cache = Cache(KINDS)
        self.index = BuilderIndex(self.cache)
        self.version = 0

    def builder(self, namespace: str, name: str, **spec: Any) -> dict[str, Any]:
        self.version += 1
        metadata = {
            "namespace": namespace,
            "name": name,
            "uid": f"{namespace}/{name}",
            "resourceVersion": str(self.version),
        }
        return {"metadata": metadata, "spec": spec}

    def put(self, namespace: str, name: str, **spec: Any) -> None:
        for key in self.cache.put(KINDS.primary, self.builder(namespace, name, **spec)):
            self.index.changed(key)

    def remove(self, namespace: str, name: str) -> None:
        for key in self.cache.remove(KINDS.primary, self.builder(namespace, name)):
            self.index.changed(key)

    def listed(self, namespace: str) -> set[str]:
        return {builder.name for builder in self.index.list(namespace)}


def test_a_builder_is_found_by_namespace_and_name() -> None:
    world = World()
    world.put("ci", "demo", mode="Sidecar")

    found = world.index.get("ci", "demo")

    assert found is not None
    assert found.builder["spec"] == {"mode": "Sidecar"}
    assert world.index.get("ci", "other") is None
    assert world.index.get("elsewhere", "demo") is None


def test_a_change_is_seen_and_in_between_nothing_is_unpacked_again() -> None:
    world = World()
    world.put("ci", "demo", mode="Sidecar")
    before = world.index.get("ci", "demo")
    assert world.index.get("ci", "demo") is before

    world.put("ci", "demo", mode="Shared")

    after = world.index.get("ci", "demo")
    assert after is not None
    assert after.builder["spec"] == {"mode": "Shared"}


def test_each_namespace_lists_its_own() -> None:
    world = World()
    world.put("ci", "one")
    world.put("ci", "two")
    world.put("elsewhere", "three")

    assert world.listed("ci") == {"one", "two"}
    assert world.listed("nowhere") == set()


def test_a_builder_that_is_gone_is_neither_found_nor_listed() -> None:
    world = World()
    world.put("ci", "one")
    world.put("ci", "two")
    assert world.index.get("ci", "one")

    world.remove("ci", "one")

    assert world.index.get("ci", "one") is None
    assert world.listed("ci") == {"two"}

    world.remove("ci", "two")

    assert world.listed("ci") == set()


def test_all_that_the_policies_ask_of_a_builder_is_kept() -> None:
    paths = set(re.findall(r"params((?:\.\w+)+)", policies.render()))
    assert ".status.injection" in paths
    builder: Any = {}
    for path in sorted(paths):  # a path comes before those that go on from it
        target = builder
        *parents, last = path.removeprefix(".").split(".")
        for part in parents:
            target = target.setdefault(part, {})
        target.setdefault(last, {})

    assert keep_injection(builder) == keep_injection(keep_injection(builder))
    assert all(_has(keep_injection(builder), path.removeprefix(".").split(".")) for path in paths)


def _has(found: Any, path: list[str]) -> bool:
    return not path or (path[0] in found and _has(found[path[0]], path[1:]))


def test_what_admission_does_not_ask_for_is_not_kept() -> None:
    builder = make_resource(
        daemon={"toml": "x" * 60_000}, env=[{"name": "A", "value": "x" * 30_000}], isolation="Rootless"
    )
    builder["metadata"]["annotations"] = {"a": "x" * 200_000}
    builder["status"] = {"injection": {"env": []}, "conditions": [], "selector": "x"}

    kept = keep_injection(builder)

    assert len(json.dumps(kept)) < 500
    assert kept["spec"] == {"mode": "Shared", "isolation": "Rootless"}
    assert kept["status"] == {"injection": {"env": []}, "conditions": []}


def test_only_some_are_kept_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "UNPACKED", 3)
    world = World()
    for number in range(10):
        world.put("ci", f"b{number}", mode="Sidecar")

    assert len(world.listed("ci")) == 10
    assert len(world.index._unpacked) == 3
