"""Large builders are read when they are worked on; what is asked of all at once is kept of each."""

import json
from typing import Any, Final, cast

from buildkit_operator.controller.builders import Builders
from buildkit_operator.controller.metrics import BuilderStateCollector
from buildkit_operator.controller.watched import BUILDERS, LONGEST_KEPT
from buildkit_operator.engine.cache import Cache
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import Manifest, Resource
from tests.unit.make import make_resource

TOLD: Final[Manifest] = {
    "conditions": [{"type": "Ready", "status": "True", "reason": "Available", "message": "x"}],
    "certificateNotAfterTime": "2026-11-25T12:00:00Z",
    "certificateNotBeforeTime": "2026-11-24T12:00:00Z",
    "managedBy": "another/installation",
    "pods": {"injected": 2, "ready": 1, "failed": 0},
    "readyReplicas": 2,
}
"""A status with all that metrics tell of a builder that is well."""


class Server:
    """Has one builder, and counts how often it is asked for it."""

    def __init__(self, builder: Manifest) -> None:
        self.builder = builder
        self.asked = 0
        self.cache = Cache(BUILDERS)
        self.cache.put(BUILDERS.primary, builder)
        self.builders = Builders(self.cache, cast("Client", self))

    async def get(self, _resource: Resource, _namespace: str, _name: str) -> Manifest:
        self.asked += 1
        return self.builder


def large(**shared: Any) -> Manifest:
    builder = make_resource(daemon={"toml": "x" * LONGEST_KEPT}, shared=shared)
    return builder | {"status": {**TOLD, "injection": {"env": [{"name": "A", "value": "x" * 10_000}]}}}


async def test_a_usual_builder_costs_no_request() -> None:
    server = Server(make_resource())

    assert await server.builders.get("ci", "demo") == make_resource()
    assert await server.builders.get("ci", "none") is None
    assert server.asked == 0


async def test_a_large_one_is_read_whole() -> None:
    server = Server(large())

    assert await server.builders.get("ci", "demo") == large()
    assert server.asked == 1


def test_of_a_large_one_little_is_kept() -> None:
    kept = BUILDERS.keep(BUILDERS.primary, large())

    assert len(json.dumps(kept)) < 1000
    assert kept == BUILDERS.keep(BUILDERS.primary, kept or {})


def test_a_large_one_is_counted_like_any_other() -> None:
    def told(builder: Manifest) -> dict[str, list[tuple[dict[str, str], float]]]:
        families = BuilderStateCollector(Server(builder).cache).collect()
        return {family.name: [(sample.labels, sample.value) for sample in family.samples] for family in families}

    usual = make_resource(shared={"replicas": 3}) | {"status": TOLD}
    assert told(large(replicas=3)) == told(usual)
    assert [name for name, samples in told(usual).items() if not samples] == ["buildkit_operator_builder_stalled"]


def test_a_large_one_still_hears_of_its_provider() -> None:
    cache = Server(large(**{"from": {"namespace": "builders", "name": "main"}})).cache

    assert cache.dependents(("builders", "main")) == {("ci", "demo")}
