"""A build that waits for a daemon in vain ends with words: the connector's own configuration in a real HAProxy."""

import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from threading import Event, Thread

import pytest

from buildkit_operator.desired import paths
from buildkit_operator.desired.connector import Upstream, config_map
from buildkit_operator.desired.platform import Platform
from buildkit_operator.pki.keypairs import KeyPair, Usage
from hack.cluster.kubectl import wait_for
from tests.integration.builders.cert_manager import make_authority
from tests.integration.proxied import certify, program, refusal
from tests.unit.make import make_builder

HOST = "127.0.0.1"
LIMITS = {
    "UNREACHABLE_SECONDS 300": "UNREACHABLE_SECONDS 10",
    "TELL_SECONDS 30": "TELL_SECONDS 1",
}


@pytest.fixture
def dropping() -> Iterator[int]:
    """Return a port of which nothing comes back: its queue of connections is full."""
    with closing(socket.socket()) as server:
        server.bind((HOST, 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)  # noqa: FBT003  its only argument
            client.connect_ex(server.getsockname())
        time.sleep(0.2)
        yield server.getsockname()[1]
        for client in waiting:
            client.close()


@pytest.fixture
def refusing() -> int:
    """Return a port that nobody listens on, as a Service without pods."""
    with closing(socket.socket()) as server:
        server.bind((HOST, 0))
        port: int = server.getsockname()[1]
    return port


Start = Callable[..., str]


class Daemon:
    """A stand-in for a daemon with TLS, which notes whether a client has spoken to it."""

    def __init__(self, folder: Path, authority: KeyPair) -> None:
        folder.mkdir()
        certify(folder, authority, Usage.SERVER, "server.pem")
        self.authority = authority
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.crt")
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._context.load_cert_chain(folder / "server.pem", folder / "server.pem.key")
        self._context.set_alpn_protocols(["h2"])
        self._server = socket.create_server((HOST, 0))
        self.port: int = self._server.getsockname()[1]
        self.is_spoken_to = Event()
        Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), self._context.wrap_socket(client, server_side=True) as encrypted:
            if encrypted.recv(3) == b"PRI":
                self.is_spoken_to.set()

    def close(self) -> None:
        self._server.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return what starts a connector to a port, which DNS has a name of a daemon for or not, and returns its socket."""
    running: list[subprocess.Popen[bytes]] = []

    def starting(port: int, named: bool, tls: str = "Disabled") -> str:  # noqa: FBT001
        builder = make_builder(shared={"tls": {"mode": tls}})
        data = config_map(builder, Upstream.of(builder, Platform()))["data"]
        text = data["haproxy.cfg"]
        # Of one that answers somehow it is told how for 10 seconds; on a busy machine they begin anew now and then.
        waits = {"setenv WAIT_SECONDS 900": f"setenv WAIT_SECONDS {60 if named else 12}"}
        for old, new in (LIMITS | waits).items():
            assert old in text
            text = text.replace(old, new)
        address = f"{HOST}:{port}"
        text = re.sub(r"(server service) \S+", rf"\1 {address}", text)
        if named:
            text = re.sub(
                r"server-template daemon \d+ \S+(.*) resolvers daemons init-addr none", rf"server one {address}\1", text
            )
        for directory in (paths.CONFIG_DIRECTORY, paths.CERTIFICATE_DIRECTORY, paths.SOCKET_DIRECTORY):
            text = text.replace(directory, str(tmp_path))
        (tmp_path / "haproxy.cfg").write_text(text)
        for name in ("grpc.lua", "greet.lua", "prune.lua"):
            (tmp_path / name).write_text(data[name])
        # As its master does it where there is something new.
        instead = ["-sf", str(running[-1].pid)] if running else []
        with (tmp_path / "log").open("a") as log:
            command = [*program(), "-db", "-f", str(tmp_path / "haproxy.cfg"), *instead]
            running.append(subprocess.Popen(command, stdout=log))
        path = tmp_path / "buildkitd.sock"
        wait_for("the socket is there", path.exists, 10)
        return f"unix://{path}"

    yield starting
    for process in running:
        process.kill()
        process.wait()


def test_a_build_that_no_daemon_comes_for(start: Start, refusing: int, tmp_path: Path) -> None:
    said = refusal(start(refusing, False), tmp_path)  # noqa: FBT003

    assert "no daemon answered at demo-buildkitd.ci.svc:1234 for 12 seconds: kubectl get bkb -o wide" in said
    assert re.search("a build waits: no daemon answered at .* for [1-9] seconds: kubectl get bkb", log(tmp_path))


def test_a_build_whose_packets_vanish(start: Start, dropping: int, tmp_path: Path) -> None:
    said = refusal(start(dropping, True), tmp_path)  # noqa: FBT003

    assert "no connection to demo-buildkitd.ci.svc:1234 could be made for 10 seconds, though daemons are ready" in said
    assert "NetworkPolicy" in said
    assert re.search("a build waits: no connection to .* for [1-9] seconds, .* Let this pod reach", log(tmp_path))


@pytest.fixture
def recreated(tmp_path: Path) -> Iterator[Daemon]:
    """Return a daemon of a builder that was made again: the connector has another authority's certificate."""
    certify(tmp_path, make_authority(), Usage.CLIENT, "client.pem")
    with closing(Daemon(tmp_path / "daemon", make_authority())) as daemon:
        yield daemon


def test_a_build_of_a_builder_that_was_made_again(start: Start, recreated: Daemon, tmp_path: Path) -> None:
    said = refusal(start(recreated.port, True, "SelfSigned"), tmp_path)  # noqa: FBT003

    assert "what answers at demo-buildkitd.ci.svc:1234 has had a certificate for 10 seconds that this pod does" in said
    assert "made again" in said


def test_a_build_that_waits_goes_on_with_the_certificate_that_comes(
    start: Start, recreated: Daemon, tmp_path: Path
) -> None:
    address = start(recreated.port, True, "SelfSigned")  # noqa: FBT003
    building = Thread(target=refusal, args=(address, tmp_path), daemon=True)
    building.start()
    wait_for("it waits", lambda: "that this pod does not trust" in log(tmp_path), 20)

    certify(tmp_path, recreated.authority, Usage.CLIENT, "client.pem")
    start(recreated.port, True, "SelfSigned")  # noqa: FBT003

    assert recreated.is_spoken_to.wait(20)
    building.join(90)


def log(folder: Path) -> str:
    """Return what the connector logged."""
    return (folder / "log").read_text()
