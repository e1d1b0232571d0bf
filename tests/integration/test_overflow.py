"""A connector before several bounded daemons: its own configuration and theirs, each in a real HAProxy."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from buildkit_operator.desired import paths
from buildkit_operator.desired.connector import Upstream, config_map
from buildkit_operator.desired.platform import Platform
from buildkit_operator.pki.keypairs import Usage
from hack.cluster.kubectl import wait_for
from tests.integration.builders.cert_manager import make_authority
from tests.integration.fronts import HOST, SECONDS, SETTINGS, Client, Daemon, Front
from tests.integration.proxied import certify, program, refusal
from tests.unit.make import make_builder

GREET: Final = "  tcp-request content lua.greet\n"
BUILDER: Final = {"maxBuilds": 1, "queueTimeoutSeconds": 3600}


class Connector:
    """A running connector, to two daemons with a place each."""

    def __init__(self, folder: Path, fronts: list[Front]) -> None:
        self._folder, self._fronts = folder, fronts
        self._running: list[subprocess.Popen[bytes]] = []

    @property
    def socket(self) -> Path:
        return self._folder / "buildkitd.sock"

    def start(self, *changes: tuple[str, str]) -> None:
        """Start it, in place of the one before if there is one, with these texts of its configuration changed."""
        data = config_map(builder := make_builder(shared=BUILDER), Upstream.of(builder, Platform()))["data"]
        text = data["haproxy.cfg"]
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        for directory in (paths.CONFIG_DIRECTORY, paths.CERTIFICATE_DIRECTORY, paths.SOCKET_DIRECTORY):
            text = text.replace(directory, str(self._folder))
        first, second = self._fronts
        template = re.compile(r"server-template daemon \d+ \S+(.*) resolvers daemons init-addr none(.*)")
        text = template.sub(
            rf"server one {HOST}:{first.overflow}\1\2\n  server other {HOST}:{second.overflow}\1\2", text
        )
        text = re.sub(r"(server any) \S+(.*) resolvers daemons init-addr none", rf"\1 {HOST}:{first.overflow}\2", text)
        text = re.sub(r"(server service) \S+", rf"\1 {HOST}:{first.port}", text)
        (self._folder / "haproxy.cfg").write_text(text)
        for name in ("grpc.lua", "greet.lua", "prune.lua"):
            (self._folder / name).write_text(data[name])
        instead = ["-sf", str(self._running[-1].pid)] if self._running else []
        before = self._inode()
        with (self._folder / "log").open("a") as log:
            command = [*program(), "-db", "-f", str(self._folder / "haproxy.cfg"), *instead]
            self._running.append(subprocess.Popen(command, stdout=log))
        wait_for("the socket is its", lambda: self._inode() not in (None, before), SECONDS)

    def _inode(self) -> int | None:
        return self.socket.stat().st_ino if self.socket.exists() else None

    def stop(self) -> None:
        for process in self._running:
            process.kill()
            process.wait()


@pytest.fixture
def fronts(tmp_path: Path) -> Iterator[list[Front]]:
    """Return two daemons that one build fills, whose certificates connectors trust."""
    authority = make_authority()
    folders = [tmp_path / name for name in ("one", "other", "connector")]
    with ExitStack() as stack:
        started = []
        for folder in folders:
            folder.mkdir()
            is_connector = folder.name == "connector"
            usage, file = (Usage.CLIENT, "client.pem") if is_connector else (Usage.SERVER, "server.pem")
            certify(folder, authority, usage, file)
            if not is_connector:
                front = Front(folder, program(), **BUILDER)
                stack.callback(front.stop)
                started.append(front)
        yield started


@pytest.fixture
def connector(tmp_path: Path, fronts: list[Front]) -> Iterator[Connector]:
    made = Connector(tmp_path / "connector", fronts)
    yield made
    made.stop()


Fill = Callable[[], list[Client]]


@pytest.fixture
def fill(connector: Connector, fronts: list[Front]) -> Iterator[Fill]:
    """Return what has a build run on each daemon, and returns them in the order of `fronts`."""
    with ExitStack() as stack:

        def filling() -> list[Client]:
            clients = [stack.enter_context(Client(connector.socket)).open_session() for _ in fronts]
            wait_for("each daemon has one", lambda: [front.count("builds") for front in fronts] == [1, 1], SECONDS)
            return clients

        yield filling


def test_a_build_that_comes_when_all_are_full_takes_the_first_place(
    connector: Connector, fronts: list[Front], fill: Fill
) -> None:
    connector.start()
    building = fill()

    with Client(connector.socket) as waiting:
        assert not waiting.is_admitted(2)
        building[1].socket.close()
        assert waiting.is_admitted(SECONDS)
    assert [front.count("queued_total") for front in fronts] == [0, 0]


def test_a_build_that_comes_too_late_to_a_place_waits_for_all_daemons_and_not_in_the_queue_of_one(
    connector: Connector, fronts: list[Front], fill: Fill
) -> None:
    connector.start()
    building = fill()
    # As if greet.lua had seen a place that another one has taken since.
    connector.start((GREET, ""))

    with Client(connector.socket) as late:
        assert late.hear() == b""
        building[1].socket.close()
        wait_for("it is at a daemon", lambda: late.hear() == 2 * SETTINGS, 2 * SECONDS)
    assert [front.count("queued_total") for front in fronts] == [0, 0]


def test_a_build_that_finds_no_place_is_told_so_after_the_time_for_that(
    connector: Connector, fill: Fill, tmp_path: Path
) -> None:
    # The time for a daemon is over sooner, and does not count here.
    connector.start(("QUEUE_SECONDS 3600", "QUEUE_SECONDS 4"), ("WAIT_SECONDS 900", "WAIT_SECONDS 2"))
    fill()

    said = refusal(f"unix://{connector.socket}", tmp_path)

    assert "the daemons of demo-buildkitd.ci.svc:1234 run as many builds as they may" in said
    assert "no place came free for 4 seconds" in said


def test_the_time_without_a_daemon_is_none_of_the_time_in_the_queue(
    connector: Connector, fronts: list[Front], fill: Fill, tmp_path: Path
) -> None:
    connector.start(("QUEUE_SECONDS 3600", "QUEUE_SECONDS 6"), ("UNREACHABLE_SECONDS 300", "UNREACHABLE_SECONDS 5"))
    building = fill()

    with Client(connector.socket) as waiting:
        assert not waiting.is_admitted(4)
        # Both daemons crash, which ends their builds, and come again; the fronts refuse meanwhile.
        for front, folder in zip(fronts, ("one", "other"), strict=True):
            front.daemon.close()
            (tmp_path / folder / "buildkitd.sock").unlink()
            front.daemon = Daemon(tmp_path / folder / "buildkitd.sock")
        for client in building:
            client.socket.close()
        assert waiting.is_admitted(SECONDS)


def test_who_waits_for_a_place_waits_on_while_the_connector_takes_a_new_configuration(
    connector: Connector, fill: Fill
) -> None:
    connector.start()
    building = fill()

    with Client(connector.socket) as waiting:
        assert not waiting.is_admitted(1)
        for _ in range(2):
            connector.start()
            # By GOAWAY it would make its calls once more, and gRPC does so only once.
            assert not waiting.is_admitted(2)
        building[0].socket.close()
        assert waiting.is_admitted(SECONDS)
