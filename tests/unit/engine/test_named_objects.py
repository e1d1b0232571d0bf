"""Objects that are read by name are asked for once in a while, and those of a kind that is not served not at all."""

import random
from typing import Any, cast

import pytest

from buildkit_operator.engine.named_objects import NamedObjects, short_ttl
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import CERTIFICATE, SECRET, Manifest, Resource

FOUND: Manifest = {"kind": "Secret", "metadata": {"name": "demo"}, "data": {"key": "value"}}


class Server:
    """Has one object or none, and counts what it is asked."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.found: Manifest | None = FOUND
        self.is_served = True
        self.asked: list[str] = []

    async def get(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        self.asked.append(f"{resource.kind} {namespace}/{name}")
        return self.found

    async def serves(self, resource: Resource) -> bool:
        self.asked.append(resource.api_version)
        return self.is_served

    def objects(self, resource: Resource = SECRET, **options: Any) -> NamedObjects:
        return NamedObjects(cast("Client", self), resource, lambda: self.now, 60.0, **options)


@pytest.fixture
def server() -> Server:
    return Server()


async def test_an_object_is_remembered_for_its_time(server: Server) -> None:
    secrets = server.objects()

    assert await secrets.get("ci", "demo") == await secrets.get("ci", "demo") == FOUND
    assert server.asked == ["Secret ci/demo"]

    server.now += 61
    await secrets.get("ci", "demo")
    assert len(server.asked) == 2


async def test_that_there_is_none_is_remembered_too(server: Server) -> None:
    server.found = None
    secrets = server.objects()

    assert [await secrets.get("ci", "demo") for _ in range(3)] == [None] * 3
    assert len(server.asked) == 1


async def test_what_is_handed_out_is_the_callers_own(server: Server) -> None:
    secrets = server.objects()
    found = await secrets.get("ci", "demo")
    assert found is not None
    found["data"].clear()

    assert await secrets.get("ci", "demo") == FOUND


async def test_a_write_is_remembered_and_what_is_forgotten_is_read_anew(server: Server) -> None:
    secrets = server.objects()
    secrets.put("ci", "demo", {"kind": "Secret", "data": {}})
    assert await secrets.get("ci", "demo") == {"kind": "Secret", "data": {}}
    assert server.asked == []

    secrets.forget("ci", "demo")
    assert await secrets.get("ci", "demo") == FOUND


async def test_of_a_kind_that_is_not_served_nothing_is_asked_by_name(server: Server) -> None:
    server.is_served = False
    certificates = server.objects(CERTIFICATE, optional=True)

    assert [await certificates.get("ci", f"demo-{number}") for number in range(3)] == [None] * 3
    assert server.asked == ["cert-manager.io/v1"]

    server.is_served, server.now = True, server.now + 61
    assert await certificates.get("ci", "demo") == FOUND


async def test_a_kind_of_which_one_was_written_is_served(server: Server) -> None:
    server.is_served = False
    certificates = server.objects(CERTIFICATE, optional=True)
    await certificates.get("ci", "demo")

    certificates.put("ci", "demo", FOUND)
    assert await certificates.get("ci", "another") == FOUND
    assert server.asked == ["cert-manager.io/v1", "Certificate ci/another"]


def test_nothing_is_remembered_from_one_resync_to_the_next() -> None:
    assert (short_ttl(300), short_ttl(20)) == (60, 10)


async def test_what_others_make_long_is_not_remembered(server: Server) -> None:
    server.found = {
        **FOUND,
        "data": {str(n): "x" for n in range(1_000)},
        "noise": random.Random(14).randbytes(300_000).hex(),
    }
    secrets = server.objects()

    assert await secrets.get("ci", "demo") == await secrets.get("ci", "demo") == server.found
    assert len(server.asked) == 2
