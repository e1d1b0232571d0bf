"""Anybody in the cluster can connect to the webhook: nobody but the API server is answered, and it is served still.

What the webhook holds for those who know the path is bounded as well.
"""

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest
import yaml

from buildkit_operator.webhook.server import MAX_BODY, MAX_CONNECTIONS, MAX_HANDSHAKES, MAX_LARGE_BODIES
from hack.cluster.kubectl import wait_for
from tests.integration.admission.engines import Refusal
from tests.integration.webhook.installation import COMPONENT, Installation
from tests.integration.webhook.test_process import REVIEW
from tests.integration.webhook.webhook_process import WebhookProcess

MIB: Final = 1024
"""In KiB."""


@pytest.fixture
def process(shared: Installation) -> WebhookProcess:
    (found,) = shared.processes
    return found


@contextmanager
def clients(process: WebhookProcess, count: int) -> Iterator[list[ssl.SSLSocket]]:
    """Have so many connections, with small buffers, within the block."""
    tls = ssl._create_unverified_context()
    with ExitStack() as stack:
        connected = []
        for _ in range(count):
            plain = socket.socket()
            for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                plain.setsockopt(socket.SOL_SOCKET, buffer, 16384)
            plain.settimeout(10)
            plain.connect(("127.0.0.1", process.https_port))
            connected.append(stack.enter_context(tls.wrap_socket(plain)))
        yield connected


def request(length: int, body: bytes = b"", *fields: str, line: str = "POST /label?timeout=5s HTTP/1.1") -> bytes:
    return "\r\n".join((line, "Host: webhook", *fields, f"Content-Length: {length}", "", "")).encode() + body


def known(installation: Installation, data: bytes) -> bytes:
    """Return a request as who knows the path sends it."""
    return data.replace(b" /label", b" " + installation.path().encode())


def push(client: ssl.SSLSocket, data: bytes) -> bool:
    """Send as much as the other side takes without a pause, and tell whether that was all."""
    client.settimeout(0.3)
    try:
        for start in range(0, len(data), 16384):
            client.sendall(data[start : start + 16384])
    except OSError:
        return False
    return True


def is_closed(client: ssl.SSLSocket) -> bool:
    """Tell whether the other side has closed the connection, with or without an answer."""
    client.settimeout(0)
    try:
        while client.recv(65536):
            pass
    except ssl.SSLWantReadError:
        return False
    except OSError:
        pass
    return True


def serves(installation: Installation) -> bool:
    return not isinstance(installation.create_pod(), Refusal)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request(0, line="GET /label HTTP/1.1"), 405),
        (b"POST /label HTTP/1.1\r\nHost: webhook\r\n\r\n", 411),
        (b"POST /label HTTP/1.1\r\nHost: webhook\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
        (request(2, b"{}", "Transfer-Encoding: chunked"), 400),
        (request(MAX_BODY + 1), 413),
        (request(2, b"{}", "Cookie: " + "x" * 5000), 400),
        (request(2, b"{}", *(f"Field-{number}: x" for number in range(40))), 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ],
    ids=["GET", "no length", "chunks", "two lengths", "large body", "large field", "many fields", "HTTP/2"],
)
def test_what_no_api_server_sends_is_refused(
    shared: Installation, process: WebhookProcess, data: bytes, status: int
) -> None:
    with clients(process, 1) as (client,):
        client.sendall(known(shared, data))

        assert client.recv(65536).split(b" ")[1] == b"%d" % status
        wait_for("the connection to be closed", lambda: is_closed(client), 5)


def test_a_pod_as_large_as_they_get_is_answered(shared: Installation, process: WebhookProcess) -> None:
    body = REVIEW + b" " * (3 * 1024 * 1024)
    with clients(process, 1) as (client,):
        client.sendall(known(shared, request(len(body), body)))

        assert client.recv(65536).split(b" ")[1] == b"200"


def test_large_bodies_that_do_not_end_are_held_up_to_a_limit(shared: Installation, process: WebhookProcess) -> None:
    before, fitting = process.memory(), MAX_LARGE_BODIES // MAX_BODY
    with clients(process, 5 * fitting) as connected:
        for client in connected:
            push(client, known(shared, request(MAX_BODY, b"x" * (MAX_BODY - 1))))

        wait_for("most to be refused", lambda: sum(map(is_closed, connected)) == 4 * fitting, 5)
        assert process.memory() - before < 2 * MAX_LARGE_BODIES / 1024
        assert serves(shared)


def test_answers_that_nobody_takes_stop_the_questions(shared: Installation, process: WebhookProcess) -> None:
    before = process.memory()
    with clients(process, 8) as connected:
        assert not any(push(client, known(shared, request(len(REVIEW), REVIEW)) * 10_000) for client in connected)

        assert process.memory() - before < 8 * MIB
        assert serves(shared)


def test_a_stranger_is_sent_away_before_a_byte_of_the_body_is_read(process: WebhookProcess) -> None:
    with clients(process, 1) as (client,):
        client.sendall(request(MAX_BODY))

        assert client.recv(65536).split(b" ")[1] == b"404"
        wait_for("the connection to be closed", lambda: is_closed(client), 5)


def test_strangers_make_room_before_an_api_servers_idle_connection(
    shared: Installation, process: WebhookProcess
) -> None:
    asking = known(shared, request(len(REVIEW), REVIEW))
    with clients(process, 1) as (client,):
        client.sendall(asking)
        assert client.recv(65536).split(b" ")[1] == b"200"

        with clients(process, MAX_CONNECTIONS + 20):
            client.sendall(asking)

            assert client.recv(65536).split(b" ")[1] == b"200"


def test_the_oldest_idle_connections_make_room_for_new_ones(shared: Installation, process: WebhookProcess) -> None:
    mark = process.log.stat().st_size
    with clients(process, MAX_CONNECTIONS + 20) as connected:
        wait_for("the first to be closed", lambda: all(map(is_closed, connected[:20])), 5)

        assert sum(map(is_closed, connected)) <= 22  # the API server has one or two of its own
        assert serves(shared)
    assert process.log.stat().st_size == mark


def test_clients_that_never_begin_keep_off_nobody_who_is_in(shared: Installation, process: WebhookProcess) -> None:
    assert serves(shared)
    with ExitStack() as stack:
        for _ in range(2 * MAX_HANDSHAKES):
            stack.enter_context(socket.create_connection(("127.0.0.1", process.https_port), 5))

        assert serves(shared)
    wait_for("others to be let in", lambda: process.certificate() is not None, 10)


def test_the_worst_json_fits_into_the_deployments_memory(shared: Installation, process: WebhookProcess) -> None:
    piece = b'{"":0},'
    body = b"[" + piece * (MAX_BODY // len(piece) - 1) + b"0]"
    with clients(process, 1) as (client,):
        client.settimeout(30)
        client.sendall(known(shared, request(len(body), body)))
        assert client.recv(65536).split(b" ")[1] == b"400"

    status = Path(f"/proc/{process.pid}/status").read_text()
    peak = int(re.findall(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[0])
    (deployment,) = (
        manifest
        for manifest in yaml.safe_load_all((COMPONENT / "webhook.yaml").read_text())
        if manifest["kind"] == "Deployment"
    )
    limit = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
    assert limit.endswith("Mi")
    # All connections at their worst come on top of it; with the kernel's buffers each was seen to take 1.3 MiB.
    assert peak + MAX_CONNECTIONS * MIB * 1.3 < int(limit.removesuffix("Mi")) * MIB
