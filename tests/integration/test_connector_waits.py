"""A build that waits for a daemon in vain ends with words: the connector's own configuration in a real HAProxy."""

import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from buildkit_operator.desired import paths
from buildkit_operator.desired.connector import Upstream, config_map
from buildkit_operator.desired.platform import Platform
from hack.cluster import artifacts
from hack.cluster.kubectl import wait_for
from tests.integration.fuzz.tools import haproxy
from tests.unit.make import make_builder

HOST = "127.0.0.1"
LIMITS = {
    "setenv WAIT_SECONDS 900": "setenv WAIT_SECONDS 12",
    "UNREACHABLE_SECONDS 300": "UNREACHABLE_SECONDS 10",
    "TELL_SECONDS 30": "TELL_SECONDS 1",
}


@pytest.fixture(scope="module")
def program() -> list[str]:
    found = haproxy()
    if found is None:
        pytest.skip("no HAProxy of the version that is injected, and only root can make its image")
    return found


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


Start = Callable[[int, bool], str]


@pytest.fixture
def start(program: list[str], tmp_path: Path) -> Iterator[Start]:
    """Return what starts a connector to a port, which DNS has a name of a daemon for or not, and returns its socket."""
    running: list[subprocess.Popen[bytes]] = []

    def starting(port: int, named: bool) -> str:  # noqa: FBT001
        builder = make_builder(shared={"tls": {"mode": "Disabled"}})
        data = config_map(builder, Upstream.of(builder, Platform()))["data"]
        text = data["haproxy.cfg"]
        for old, new in LIMITS.items():
            assert old in text
            text = text.replace(old, new)
        address = f"{HOST}:{port}"
        text = re.sub(r"(server service) \S+", rf"\1 {address}", text)
        if named:
            text = re.sub(
                r"server-template daemon \d+ \S+(.*) resolvers daemons init-addr none", rf"server one {address}\1", text
            )
        text = text.replace(paths.CONFIG_DIRECTORY, str(tmp_path)).replace(paths.SOCKET_DIRECTORY, str(tmp_path))
        (tmp_path / "haproxy.cfg").write_text(text)
        for name in ("greet.lua", "prune.lua"):
            (tmp_path / name).write_text(data[name])
        with (tmp_path / "log").open("w") as log:
            running.append(subprocess.Popen([*program, "-db", "-f", str(tmp_path / "haproxy.cfg")], stdout=log))
        path = tmp_path / "buildkitd.sock"
        wait_for("the socket is there", path.exists, 10)
        return f"unix://{path}"

    yield starting
    for process in running:
        process.kill()
        process.wait()


def refusal(address: str, tmp_path: Path) -> str:
    """Return what buildctl says of a build that it was refused."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    buildctl = artifacts.ensure("buildkit")["buildkit"] / "buildctl"
    contexts = [f"--local={kind}={tmp_path}" for kind in ("context", "dockerfile")]
    command = [str(buildctl), f"--addr={address}", "build", "--frontend=dockerfile.v0", *contexts]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert ended.returncode != 0
    return ended.stderr


def test_a_build_that_no_daemon_comes_for(start: Start, refusing: int, tmp_path: Path) -> None:
    said = refusal(start(refusing, False), tmp_path)  # noqa: FBT003

    assert "no daemon answered at demo-buildkitd.ci.svc:1234 for 12 seconds: kubectl get bkb -o wide" in said
    assert re.search("a build waits: no daemon answered at .* for [1-9] seconds: kubectl get bkb", log(tmp_path))


def test_a_build_whose_packets_vanish(start: Start, dropping: int, tmp_path: Path) -> None:
    said = refusal(start(dropping, True), tmp_path)  # noqa: FBT003

    assert "no connection to demo-buildkitd.ci.svc:1234 could be made for 10 seconds, though daemons are ready" in said
    assert "NetworkPolicy" in said
    assert re.search("a build waits: no connection to .* for [1-9] seconds, .* Let this pod reach", log(tmp_path))


def log(folder: Path) -> str:
    """Return what the connector logged."""
    return (folder / "log").read_text()
