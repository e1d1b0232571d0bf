"""The front of a shared daemon: its own configuration in a real HAProxy, before a stand-in for the daemon's socket."""

import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from threading import Thread
from typing import Any, Self

import pytest

from hack.cluster.kubectl import wait_for
from tests.integration.builders.cert_manager import make_authority
from tests.integration.fronts import GOAWAY, HOST, SECONDS, SETTINGS, Client, Daemon, Front
from tests.integration.proxied import program, refusal

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


def test_who_waits_has_the_bound_of_the_process_that_has_come_since(start: Start) -> None:
    front = start(maxBuilds=1)

    with Client(front.port).open_session(), Client(front.port) as waiting:
        assert not waiting.is_admitted(1)
        front.rebind(2)

        # By GOAWAY it would make its calls once more, and gRPC does so only once: the next reload would end its build.
        assert waiting.is_admitted(SECONDS)


def test_who_waited_at_the_process_before_is_served_first(start: Start) -> None:
    front = start(maxBuilds=1)

    with Client(front.port).open_session() as running, Client(front.port) as first:
        assert not first.is_admitted(1)
        front.reload()
        with Client(front.port) as second:
            assert not second.is_admitted(1)
            running.socket.close()
            assert first.is_admitted(SECONDS)
            first.open_session()
            assert not second.is_admitted(1)
            first.socket.close()
            assert second.is_admitted(SECONDS)


def test_places_go_to_clients_and_connectors_by_turns(start: Start) -> None:
    front = start(maxBuilds=1)

    with ExitStack() as stack:
        running = stack.enter_context(Client(front.port).open_session())
        waiting = [stack.enter_context(Client(front.port)) for _ in range(2)]
        wait_for("both wait", lambda: front.count("queued") == 2, SECONDS)
        assert not front.is_open(front.overflow), "and a connector has looked"
        running.socket.close()
        wait_for("one is admitted", lambda: front.count("queued") == 1, SECONDS)
        running = next(client for client in waiting if client.is_admitted()).open_session()
        assert not front.is_open(front.overflow)
        running.socket.close()
        wait_for("there is a place for a connector", lambda: front.is_open(front.overflow), SECONDS)
        with Client(front.overflow).open_session():
            assert front.count("queued") == 1
        wait_for("the other one is admitted", lambda: front.count("queued") == 0, SECONDS)


def test_a_place_that_no_connector_takes_goes_to_who_waits(start: Start) -> None:
    front = start(maxBuilds=1)

    with ExitStack() as stack:
        running = stack.enter_context(Client(front.port).open_session())
        waiting = [stack.enter_context(Client(front.port)) for _ in range(2)]
        wait_for("both wait", lambda: front.count("queued") == 2, SECONDS)
        assert not front.is_open(front.overflow), "and a connector has looked, which then goes elsewhere"
        for left in (1, 0):
            running.socket.close()
            wait_for("one is admitted", lambda: front.count("queued") == left, SECONDS)  # noqa: B023  called at once
            running = next(
                client for client in waiting if client is not running and client.is_admitted()
            ).open_session()


# The end


def test_who_waits_at_the_end_of_the_pod_is_sent_on_once_there_is_another_daemon(start: Start) -> None:
    front = start(maxBuilds=1)

    with Client(front.port).open_session(), Client(front.port) as waiting:
        assert not waiting.is_admitted(1)
        (front.folder / "front" / "draining").touch()
        assert not waiting.is_admitted(2), "the daemon still serves it, if no other one can"
        with socket.create_server((HOST, front.elsewhere)):
            # GOAWAY: none of its calls has begun, so it makes its connection anew (RFC 9113, section 6.8).
            wait_for("it is given back", lambda: GOAWAY in waiting.hear(), SECONDS)


def test_who_is_admitted_to_a_daemon_that_has_crashed_is_sent_on(start: Start, tmp_path: Path) -> None:
    front = start(maxBuilds=1)

    with Client(front.port).open_session() as building, Client(front.port) as waiting:
        assert not waiting.is_admitted(1)
        front.daemon.close()
        (tmp_path / "buildkitd.sock").unlink()
        building.socket.close()
        wait_for("it is given back", lambda: GOAWAY in waiting.hear(), 3 * SECONDS)
    front.daemon = Daemon(tmp_path / "buildkitd.sock")


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
