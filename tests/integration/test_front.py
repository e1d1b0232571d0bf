"""The front of a shared daemon: its own configuration in a real HAProxy, before a stand-in for the daemon's socket."""

import os
import re
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Thread
from typing import Any, Final, Self

import pytest

from buildkit_operator.api.shared import METRICS_PORT, OVERFLOW_PORT
from buildkit_operator.desired import paths
from buildkit_operator.desired.front import config_map
from hack.cluster.kubectl import wait_for
from hack.cluster.processes import free_port
from tests.integration.builders.cert_manager import make_authority
from tests.integration.proxied import program, refusal
from tests.unit.make import make_builder

HOST: Final = "127.0.0.1"
SECONDS: Final = 10
SETTINGS: Final = b"\0\0\0\4\0\0\0\0\0"
GOAWAY: Final = b"\0\0\x08\7\0\0\0\0\0" + bytes(8)
HELLO: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS
METHOD: Final = bytes.fromhex("9862 93c7 e978 ed35 1275 3257 ee15 ef1e a4d8 7a18 dc54 20c7 ab")
"""How grpc-go names /moby.buildkit.v1.Control/Session: its length, and Huffman's code of it (RFC 7541, section 5.2)."""


class Daemon:
    """A stand-in for the daemon: it sends its settings to each client, and then only listens."""

    def __init__(self, path: Path) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        path.chmod(0o777)
        self._server.listen(100)
        self._thread = Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                Thread(target=self._serve, args=(client,), daemon=True).start()

    @staticmethod
    def _serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.sendall(SETTINGS)
            while client.recv(65536):
                pass

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


class Client:
    """A connection to the front, which has said hello unless it is told not to."""

    def __init__(self, port: int, hello: bytes = HELLO, tls: ssl.SSLContext | None = None) -> None:
        plain = socket.create_connection((HOST, port), SECONDS)
        self.socket = tls.wrap_socket(plain, server_hostname="localhost") if tls else plain
        self.received = b""
        self.socket.sendall(hello)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def is_admitted(self, seconds: float = 0) -> bool:
        """Tell whether the daemon's own settings have come: those of the front alone mean that it is to wait."""
        deadline = time.monotonic() + seconds
        while len(self.received) < 2 * len(SETTINGS):
            self.socket.settimeout(max(0.3, deadline - time.monotonic()))
            try:
                sent = self.socket.recv(1000)
            except TimeoutError:
                return False
            assert sent, f"the connection was closed after {self.received!r}"
            self.received += sent
        assert self.received == 2 * SETTINGS
        return True

    def hear(self) -> bytes:
        """Return all that has come so far, also where the connection was closed after it."""
        self.socket.settimeout(0.3)
        with suppress(TimeoutError):
            self.received += self.socket.recv(1000)
        return self.received

    def open_session(self) -> Self:
        """Begin a build, with the method's name in two packets."""
        assert self.is_admitted(SECONDS)
        self.socket.sendall(b"\0\0\x22\1\4\0\0\0\1" + METHOD[:11])
        time.sleep(0.05)
        self.socket.sendall(METHOD[11:])
        return self


class Front:
    """A running front."""

    def __init__(self, folder: Path, program: list[str], **shared: Any) -> None:
        self.folder = folder
        self.daemon = Daemon(folder / "buildkitd.sock")
        self.port, self.overflow, self.metrics = free_port(), free_port(), free_port()
        data = config_map(make_builder(shared=shared))["data"]
        text = data["haproxy.cfg"]
        for old, new in (
            ("}:1234", f"}}:{self.port}"),
            (f"}}:{OVERFLOW_PORT}", f"}}:{self.overflow}"),
            (f"dst_port {OVERFLOW_PORT}", f"dst_port {self.overflow}"),
            (f"}}:{METRICS_PORT}", f"}}:{self.metrics}"),
            (paths.CONFIG_DIRECTORY, str(folder)),
            (paths.CERTIFICATE_DIRECTORY, str(folder)),
            (paths.SOCKET_DIRECTORY, str(folder)),
        ):
            assert old in text or old == paths.CERTIFICATE_DIRECTORY
            text = text.replace(old, new)
        (folder / "haproxy.cfg").write_text(text)
        for name, script in data.items():
            if name.endswith(".lua"):
                (folder / name).write_text(script)
        (folder / "front").mkdir()
        self._program = program
        self._processes: list[subprocess.Popen[bytes]] = []
        self._start()

    def _start(self, *more: str) -> None:
        before = self.counted()
        with (self.folder / "log").open("a") as log:
            self._processes.append(
                subprocess.Popen(
                    [*self._program, "-db", "-f", str(self.folder / "haproxy.cfg"), *more],
                    env={**os.environ, "ANY": HOST},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )
        wait_for("it counts", lambda: self.counted() - before, SECONDS)
        wait_for("it serves", lambda: self.get("/healthz")[0] == 200, SECONDS)

    def get(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Return the status and the text that the port for metrics answers; 0 while it does not."""
        asked = urllib.request.Request(f"http://{HOST}:{self.metrics}{path}", method=method)
        try:
            with urllib.request.urlopen(asked, timeout=SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def count(self, name: str) -> int:
        found = re.search(rf"^buildkit_front_{name} (\d+)$", self.get("/front")[1], re.MULTILINE)
        assert found, name
        return int(found[1])

    def is_open(self, port: int) -> bool:
        """Tell whether a port takes connections, and does not close them at once."""
        try:
            with socket.create_connection((HOST, port), SECONDS) as client:
                client.settimeout(0.2)
                return client.recv(1) != b""
        except TimeoutError:
            return True
        except ConnectionResetError:
            return False

    def reload(self) -> None:
        """Have it go on in another process, as its master does for a new certificate."""
        self._start("-sf", str(self._processes[-1].pid))
        # It has looked at what the other has counted.
        time.sleep(0.3)

    def rebind(self, most: int) -> None:
        """Have it go on with another bound."""
        config = self.folder / "haproxy.cfg"
        config.write_text(re.sub(r"MAX_BUILDS \d+", f"MAX_BUILDS {most}", config.read_text()))
        self.reload()

    def counted(self) -> set[str]:
        """Return the processes that have said how many builds they have."""
        return {file.name for file in (self.folder / "front").iterdir() if file.name.isdecimal()}

    def told(self) -> list[str]:
        """Return what each process has said of its builds and of those who wait."""
        return [(self.folder / "front" / name).read_text().strip() for name in sorted(self.counted())]

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self.daemon.close()


Start = Callable[..., Front]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return what starts a front without TLS, but for what `shared` says."""
    with ExitStack() as stack:

        def starting(**shared: Any) -> Front:
            front = Front(tmp_path, program(), **{"tls": {"mode": "Disabled"}, **shared})
            stack.callback(front.stop)
            return front

        yield starting


# The bound


def test_who_finds_no_place_waits_and_connectors_are_sent_on(start: Start) -> None:
    front = start(maxBuilds=2)

    with Client(front.port).open_session() as first, Client(front.overflow).open_session():
        wait_for("there is no place", lambda: not front.is_open(front.overflow), SECONDS)
        with Client(front.port) as waiting:
            assert not waiting.is_admitted(1)
            assert waiting.received == SETTINGS, "gRPC gives up a connection that says nothing for 20 seconds"
            first.socket.close()
            assert waiting.is_admitted(SECONDS)


def test_they_are_served_in_the_order_in_which_they_came(start: Start) -> None:
    front = start(maxBuilds=1)

    with ExitStack() as stack:
        running = stack.enter_context(Client(front.port).open_session())
        waiting = []
        for number in range(3):
            waiting.append(stack.enter_context(Client(front.port)))
            wait_for("it waits", lambda: front.count("queued") == number + 1, SECONDS)  # noqa: B023  called at once
        # Who gives up is passed over.
        waiting.pop(1).socket.close()
        for client in waiting:
            running.socket.close()
            assert client.is_admitted(SECONDS)
            running = client.open_session()
    assert front.count("queued_total") == 3


def test_who_waits_in_vain_is_told(start: Start, tmp_path: Path) -> None:
    front = start(maxBuilds=1, queueTimeoutSeconds=2)

    with Client(front.port).open_session():
        said = refusal(f"tcp://{HOST}:{front.port}", tmp_path)

    assert "this BuildKit daemon runs as many builds as it may, 1, and no place came free for 2 seconds" in said
    assert "maxBuilds" in said
    assert front.count("refused_total") >= 1


def test_without_a_bound_all_are_admitted(start: Start) -> None:
    front = start()

    with ExitStack() as stack:
        for port in (front.port, front.overflow) * 5:
            stack.enter_context(Client(port).open_session())
        wait_for("all count", lambda: front.count("builds") == 10, SECONDS)
        assert front.is_open(front.overflow)
    assert "max_builds" not in front.get("/front")[1]


# The daemon


def test_while_the_daemon_is_not_there_connectors_are_sent_on(start: Start, tmp_path: Path) -> None:
    front = start()

    front.daemon.close()
    (tmp_path / "buildkitd.sock").unlink()
    wait_for("its front sees it", lambda: not front.is_open(front.port), SECONDS)
    assert not front.is_open(front.overflow)

    front.daemon = Daemon(tmp_path / "buildkitd.sock")
    wait_for("its front sees it", lambda: front.is_open(front.port), SECONDS)
    with Client(front.port) as client:
        assert client.is_admitted(SECONDS)


# What takes a place


def test_a_connection_that_says_nothing_takes_no_place(start: Start) -> None:
    front = start(maxBuilds=1)

    with Client(front.port, b""), Client(front.overflow, b""):
        time.sleep(0.3)
        assert front.count("builds") == 0
        with Client(front.overflow) as client:
            assert client.is_admitted(SECONDS)


def test_a_connection_without_a_session_takes_one_for_a_second(start: Start) -> None:
    front = start(maxBuilds=1)

    with Client(front.port) as asking:
        assert asking.is_admitted(SECONDS)
        assert front.count("builds") == 1
        with Client(front.port) as building:
            assert building.is_admitted(SECONDS)
            building.open_session()
            wait_for("it counts", lambda: front.count("builds_total") == 1, SECONDS)
            # Not before the second is over, in which who asks may yet begin a build.
            asking.open_session()
            wait_for("both count", lambda: front.count("builds") == 2, SECONDS)
    wait_for("both are over", lambda: front.count("builds") == 0, SECONDS)


def test_builds_of_a_process_that_was_replaced_still_count(start: Start) -> None:
    front = start(maxBuilds=2)

    with Client(front.port).open_session() as old:
        wait_for("it counts", lambda: front.count("builds") == 1, SECONDS)
        front.reload()
        assert front.count("builds") == 1
        with Client(front.port).open_session():
            wait_for("there is no place", lambda: not front.is_open(front.overflow), SECONDS)
            wait_for("both processes tell one", lambda: front.told() == ["1 0", "1 0"], SECONDS)
            old.socket.close()
            wait_for("there is one", lambda: front.is_open(front.overflow), SECONDS)


def test_who_waits_comes_again_to_the_process_that_has_the_new_bound(start: Start) -> None:
    front = start(maxBuilds=1)

    with Client(front.port).open_session(), Client(front.port) as waiting:
        assert not waiting.is_admitted(1)
        front.rebind(2)

        # GOAWAY: none of its calls has begun, so it makes its connection anew (RFC 9113, section 6.8).
        wait_for("it is given back", lambda: GOAWAY in waiting.hear(), SECONDS)
        with Client(front.port) as again:
            assert again.is_admitted(SECONDS)


# Certificates


def renew(folder: Path) -> ssl.SSLContext:
    """Make another authority, whose certificate front and client use; return the client's context."""
    authority = make_authority()
    for name in ("ca.crt", "server.pem"):
        (folder / name).write_bytes(authority.certificate)
    (folder / "server.pem.key").write_bytes(authority.key)
    context = ssl.create_default_context(cadata=authority.certificate.decode())
    context.check_hostname = False
    context.load_cert_chain(folder / "server.pem", folder / "server.pem.key")
    context.set_alpn_protocols(["h2"])
    return context


def test_only_who_has_a_certificate_gets_in(start: Start, tmp_path: Path) -> None:
    trusted = renew(tmp_path)
    front = start(tls={"mode": "SelfSigned"})

    with Client(front.port, tls=trusted).open_session() as client:
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.socket.selected_alpn_protocol() == "h2"
    anybody = ssl.create_default_context(cadata=(tmp_path / "ca.crt").read_text())
    anybody.check_hostname = False
    for tls in (anybody, None):
        with pytest.raises((OSError, AssertionError)), Client(front.port, tls=tls) as client:
            client.is_admitted(SECONDS)


def test_a_new_certificate_is_taken_while_builds_go_on(start: Start, tmp_path: Path) -> None:
    old = renew(tmp_path)
    front = start(tls={"mode": "SelfSigned"})

    with Client(front.port, tls=old).open_session() as building:
        new = renew(tmp_path)
        front.reload()
        with Client(front.port, tls=new) as client:
            assert client.is_admitted(SECONDS)
        building.socket.sendall(b"\0\0\0\0\0\0\0\0\1")
        wait_for("it still counts", lambda: front.count("builds") >= 1, SECONDS)


# Metrics


def test_of_what_is_for_debugging_only_metrics_are_passed_on(start: Start, tmp_path: Path) -> None:
    front = start()

    assert front.get("/metrics") == (503, "This BuildKit tells no metrics: that begins with 0.31.\n")

    with ExitStack() as stack:
        stack.enter_context(Debugging(tmp_path / "debug.sock"))
        assert front.get("/metrics") == (200, "GET /metrics")
        assert front.get("/metrics", "POST")[0] == 405
        for path in ("/", "/debug/pprof/", "/debug/vars", "/debug/requests", "/metrics/", "//metrics", "/metrics/../"):
            assert front.get(path)[0] == 404, path
    assert "haproxy_frontend_bytes_in_total" in front.get("/haproxy")[1]


class Debugging:
    """An HTTP server on a socket that answers with what it was asked."""

    def __init__(self, path: Path) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        path.chmod(0o777)
        self._server.listen(10)

    def __enter__(self) -> Self:
        Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                with client:
                    asked = client.recv(65536).decode().partition(" HTTP")[0]
                    head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(asked)}\r\nconnection: close\r\n\r\n"
                    client.sendall(f"{head}{asked}".encode())
