"""The webhook knows builders as the cache knows them, namespace by namespace."""

from typing import Any

from buildkit_operator.engine.cache import Cache
from buildkit_operator.webhook.index import KINDS, BuilderIndex


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
        return {builder["metadata"]["name"] for builder in self.index.list(namespace)}


def test_a_builder_is_found_by_namespace_and_name() -> None:
    world = World()
    world.put("ci", "demo", mode="Sidecar")

    found = world.index.get("ci", "demo")

    assert found is not None
    assert found["spec"] == {"mode": "Sidecar"}
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
    assert after["spec"] == {"mode": "Shared"}


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
