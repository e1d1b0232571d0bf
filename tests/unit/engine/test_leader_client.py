"""A write of a leader ends with its Lease, here and, as far as it is told, in the API server."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from buildkit_operator.controller.watched import BUILDERS
from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.leader_client import LeaderOnlyClient
from buildkit_operator.engine.leader_election import NoLeaderElection, NotLeader
from buildkit_operator.kube.auth import Connection
from buildkit_operator.kube.errors import Unavailable
from buildkit_operator.kube.resources import CONFIG_MAP

OBJECT = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "demo", "namespace": "ci"}}


@dataclass
class Silent:
    """A server that takes requests and never answers."""

    requests: list[str] = field(default_factory=list)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append((await reader.readline()).decode())
        await reader.read()
        writer.close()


class Leading(NoLeaderElection):
    """A leadership that has some seconds left, and ends after it was asked so often."""

    def __init__(self, seconds: float, answers: int = 100) -> None:
        self.seconds = seconds
        self.answers = answers

    def is_leader(self) -> bool:
        self.answers -= 1
        return self.answers >= 0

    def seconds_left(self) -> float:
        return self.seconds


class Nobody:
    """Where no credential is needed."""

    async def read(self) -> None:
        return None


@pytest.fixture
async def silent() -> AsyncIterator[tuple[Silent, Connection]]:
    silent = Silent()
    server = await asyncio.start_server(silent.take, "127.0.0.1", 0)
    connection = Connection(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", Nobody())
    yield silent, connection
    await connection.close()
    server.close()


def client(connection: Connection, election: NoLeaderElection) -> LeaderOnlyClient:
    return LeaderOnlyClient(
        connection, field_manager="test", kinds=BUILDERS, cache=Cache(BUILDERS), election=election, enqueue=print
    )


@pytest.mark.parametrize("verb", ["apply", "apply_new", "create", "replace", "delete"])
async def test_a_write_is_given_up_with_the_lease_and_the_server_told_to(
    silent: tuple[Silent, Connection], verb: str
) -> None:
    server, connection = silent
    writer = client(connection, Leading(0.3))
    write = writer.delete(CONFIG_MAP, "ci", "demo") if verb == "delete" else getattr(writer, verb)(OBJECT)

    with pytest.raises(Unavailable, match=r"no answer within 0.3 seconds"):
        await write

    assert re.search(r"[?&]timeout=0\.300s", server.requests[0])
    await writer.close()


async def test_a_read_needs_no_lease(silent: tuple[Silent, Connection]) -> None:
    server, connection = silent
    reader = client(connection, Leading(0.1, answers=0))
    read = asyncio.create_task(reader.get(CONFIG_MAP, "ci", "demo"))

    await asyncio.sleep(0.5)

    assert not read.done()
    assert "timeout=" not in server.requests[0]
    read.cancel()
    await reader.close()


async def test_a_process_that_slept_since_it_looked_sends_nothing(silent: tuple[Silent, Connection]) -> None:
    server, connection = silent
    writer = client(connection, Leading(5, answers=1))

    with pytest.raises(NotLeader):
        await writer.apply(OBJECT)

    assert server.requests == []
    await writer.close()
