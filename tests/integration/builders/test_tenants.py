"""Whoever may use a daemon can step into a build of another tenant's while it runs: what docs/security.md warns of.

BuildKit lets a build's client speak for it by the build's id, asks nobody whose it is, and shows it in the history.
"""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import islice
from typing import Any

import grpc
import pytest

from buildkit_operator.pki.issuer import issue_leaf
from buildkit_operator.pki.keypairs import KeyPair, Usage
from hack.cluster.kubectl import wait_for
from hack.cluster.processes import free_port
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.daemon import HOST, RealDaemon, SlowServer, real_daemon

CANCELLED = 1
WORKERS = "/moby.buildkit.v1.Control/ListWorkers"


@dataclass(frozen=True)
class Tenant:
    """Somebody with a client's certificate of the daemon, but not the one of those who build."""

    channel: grpc.Channel

    def call(self, method: str, build: str, *request: tuple[int, Any]) -> dict[int, Any]:
        """Ask something of a running build, and return the answer's fields."""
        ask: Any = self.channel.unary_unary(f"/moby.buildkit.v1.frontend.LLBBridge/{method}")
        answer = ask(message(*request), timeout=20, metadata=(("buildkit-controlapi-buildid", build),))
        return dict(fields(answer))


def message(*content: tuple[int, Any]) -> bytes:
    """Return a protobuf message of these fields: small integers, texts, and messages as bytes."""
    encoded = b""
    for number, value in content:
        if isinstance(value, int):
            encoded += varint(number << 3) + varint(value)
            continue
        data = value.encode() if isinstance(value, str) else value
        encoded += varint(number << 3 | 2) + varint(len(data)) + data
    return encoded


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def fields(encoded: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a protobuf message that has none but integers, texts and messages."""
    left = iter(encoded)
    for first in left:
        key = read_varint(first, left)
        value = read_varint(next(left), left)
        assert key & 7 in {0, 2}
        yield key >> 3, value if key & 7 == 0 else bytes(islice(left, value))


def read_varint(first: int, left: Iterator[int]) -> int:
    return first if first < 0x80 else (first & 0x7F) | read_varint(next(left), left) << 7


@pytest.fixture
def slow_server() -> Iterator[SlowServer]:
    server = SlowServer()
    yield server
    server.close()


@pytest.fixture
def daemon(builders: Builders) -> Iterator[RealDaemon]:
    """Run the daemon of a builder that another one may use."""
    port = free_port()
    builders.create(shared={"port": port, "allowedNamespaces": {"names": [builders.namespace]}})
    builders.create("another", shared={"from": {"namespace": builders.namespace, "name": "demo"}})
    for name in ("demo", "another"):
        builders.wait("certificates", lambda name=name: builders.secret(f"{name}-connection"))  # type: ignore[misc]
    with real_daemon(builders, port) as running:
        yield running


@pytest.fixture
def tenant(builders: Builders, daemon: RealDaemon) -> Iterator[Tenant]:
    """Return the other builder's user."""
    held = {key: text.encode() for key, text in builders.secret("another-connection").items()}
    with connect(daemon, held["ca.crt"], KeyPair(held["tls.crt"], held["tls.key"])) as channel:
        yield Tenant(channel)


def connect(daemon: RealDaemon, authority: bytes, client: KeyPair) -> grpc.Channel:
    credentials = grpc.ssl_channel_credentials(authority, client.key, client.certificate)
    # Without sharing, so that each channel shakes hands.
    options = [
        ("grpc.ssl_target_name_override", (daemon.folder / "name").read_text()),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    return grpc.secure_channel(f"{HOST}:{daemon.port}", credentials, options)


def running_build(daemon: RealDaemon) -> str:
    """Return the id of the build that runs, as every tenant sees it in the history."""

    def listed() -> str:
        command = daemon.buildctl("debug", "histories", "--format={{json .}}")
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        events = [json.loads(line) for line in said.splitlines()]
        return next((event["record"]["Ref"] for event in events if not event.get("type")), "")

    return wait_for("a running build", listed)


def test_another_tenant_ends_a_build_whose_base_image_is_looked_up(
    daemon: RealDaemon, tenant: Tenant, slow_server: SlowServer
) -> None:
    registry = slow_server.url.removeprefix("http://").removesuffix("/file")
    (daemon.folder / "slow").write_text(f"FROM {registry}/base\n")
    contexts = [f"--local={kind}={daemon.folder}" for kind in ("context", "dockerfile")]
    command = daemon.buildctl("build", "--frontend=dockerfile.v0", "--opt=filename=slow", *contexts)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as build:
        error = message((1, CANCELLED), (2, "another tenant says so"))

        tenant.call("Return", running_build(daemon), (2, error))

        slow_server.let_go()
        said, _ = build.communicate(timeout=30)
        assert build.returncode != 0
        assert "another tenant says so" in said


def test_another_tenant_reads_what_the_client_of_a_running_build_offers(
    daemon: RealDaemon, tenant: Tenant, slow_server: SlowServer
) -> None:
    (daemon.folder / "private").write_text("never sent by this build")
    source = message((3, message((1, "local://context"))))
    last = message((1, message((1, f"sha256:{sha256(source).hexdigest()}"))))
    with daemon.build(slow_server.url) as build:
        running = running_build(daemon)

        solved = tenant.call("Solve", running, (1, message((1, source), (1, last))))
        read = tenant.call("ReadFile", running, (1, solved[1]), (2, "private"))

        assert read[1] == b"never sent by this build"
        slow_server.let_go()
        build.communicate(timeout=30)


def test_a_connection_outlives_the_certificate_it_began_with_and_none_begins_after(
    builders: Builders, daemon: RealDaemon
) -> None:
    authority = builders.secret("demo-buildkitd-ca")
    issuer = KeyPair(authority["tls.crt"].encode(), authority["tls.key"].encode())
    now = datetime.now(UTC)
    client = issue_leaf(issuer, "short", Usage.CLIENT, [], timedelta(seconds=5), now)

    with connect(daemon, issuer.certificate, client) as channel:
        ask(channel)
        time.sleep((now + timedelta(seconds=6) - datetime.now(UTC)).total_seconds())

        ask(channel)
    with connect(daemon, issuer.certificate, client) as channel, pytest.raises(grpc.RpcError):
        ask(channel)


def ask(channel: grpc.Channel) -> None:
    workers: Any = channel.unary_unary(WORKERS)
    workers(b"", timeout=4)
