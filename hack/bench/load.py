"""A load generator that costs little beside what it measures: prepared requests over kept TLS connections."""

import selectors
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from hack.cluster.controlplane import ControlPlane

SECONDS: Final = 3.0
"""How long each request is sent, in all."""
TURNS: Final = 6
"""In how many parts of that time, so that what the machine does besides hits all requests alike."""
_LONGEST_ANSWER_SECONDS: Final = 30


@dataclass(frozen=True)
class Request:
    """A write, and what its answer must contain for the time to count."""

    path: str
    body: bytes
    expected: bytes = b""
    method: str = "POST"
    content_type: str = "application/json"


@dataclass(frozen=True)
class Server:
    """Where to ask, and how."""

    port: int
    """On this machine."""
    tls: ssl.SSLContext
    name: str
    """In its certificate."""
    headers: Mapping[str, str]
    """Besides those that every request has."""

    @classmethod
    def of(cls, control_plane: ControlPlane) -> Self:
        """Return an API server of this machine, to be asked as its administrator."""
        port = urlsplit(control_plane.url).port
        assert port
        return cls(port, control_plane.tls(), "127.0.0.1", {"Authorization": f"Bearer {control_plane.token}"})

    def ask(self, *requests: Request, concurrency: int) -> list[list[float]]:
        """Send each request for SECONDS on so many connections, on each when it was answered; requests take turns.

        Returns the durations of each request's answers, in seconds. Raises AssertionError for an unexpected answer.
        """
        taken: list[list[float]] = [[] for _ in requests]
        with ExitStack() as stack:
            connections = self._connections(stack, concurrency)
            for turn in range(TURNS + 1):
                for durations, request in zip(taken, requests, strict=True):
                    more = _send_all(connections, _over_and_over(self._encode(request), request.expected))
                    if turn > 0:  # until then, things are compiled and filled
                        durations.extend(more)
        return taken

    def send(self, requests: Iterable[Request], concurrency: int) -> list[float]:
        """Send each request once, on so many connections; return the durations of the answers, in seconds.

        Raises AssertionError for an unexpected answer.
        """
        with ExitStack() as stack:
            connections = self._connections(stack, concurrency)
            return _send_all(connections, ((self._encode(request), request.expected) for request in requests))

    def _connections(self, stack: ExitStack, count: int) -> "Sequence[_Connection]":
        return [_Connection(stack.enter_context(self._connect())) for _ in range(count)]

    def _connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.tls.wrap_socket(plain, server_hostname=self.name)

    def _encode(self, request: Request) -> bytes:
        headers = {
            "Host": self.name,
            "Content-Type": request.content_type,
            "Content-Length": str(len(request.body)),
            **self.headers,
        }
        lines = [f"{request.method} {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + request.body


def _over_and_over(request: bytes, expected: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield one request for its part of the time."""
    deadline = time.perf_counter() + SECONDS / TURNS
    while time.perf_counter() < deadline:
        yield request, expected


def _send_all(connections: "Sequence[_Connection]", requests: Iterator[tuple[bytes, bytes]]) -> list[float]:
    """Send requests, each on the first connection that is free, and wait for the last answers."""
    taken: list[float] = []
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            if connection.send_next(requests):
                selector.register(connection.socket, selectors.EVENT_READ, connection)
        while selector.get_map():
            ready = selector.select(_LONGEST_ANSWER_SECONDS)
            assert ready, f"no answer within {_LONGEST_ANSWER_SECONDS} seconds"
            for key, _ in ready:
                connection = key.data
                if not connection.is_answered():
                    continue
                taken.append(connection.seconds)
                connection.check()
                if not connection.send_next(requests):
                    selector.unregister(connection.socket)
    return taken


class _Connection:
    """One connection, on which one request at a time waits for its answer."""

    def __init__(self, connected: ssl.SSLSocket) -> None:
        self.socket = connected
        self.socket.settimeout(0)
        self.answer = b""
        self.seconds = 0.0
        """How long the last answer took."""
        self._expected = b""

    def send_next(self, requests: Iterator[tuple[bytes, bytes]]) -> bool:
        """Send the next of some requests, and tell whether there was one."""
        following = next(requests, None)
        if following is None:
            return False
        request, self._expected = following
        self.answer = b""
        self._sent = time.perf_counter()
        # A long one may have to wait for the server to read.
        self.socket.settimeout(_LONGEST_ANSWER_SECONDS)
        self.socket.sendall(request)
        self.socket.settimeout(0)
        return True

    def check(self) -> None:
        """Raise AssertionError where the answer is a refusal, or not what was expected."""
        assert self.answer.startswith(b"HTTP/1.1 2"), self.answer
        assert self._expected in self.answer, self.answer

    def is_answered(self) -> bool:
        """Read what has come, and return whether it is all."""
        try:
            while True:
                received = self.socket.recv(65536)
                assert received, f"the server ended the connection after {self.answer!r}"
                self.answer += received
        except ssl.SSLWantReadError:
            pass
        self.seconds = time.perf_counter() - self._sent
        return _is_whole(self.answer)


def _is_whole(answer: bytes) -> bool:
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        return False
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return len(body) >= int(length) if length else body.endswith(b"\r\n0\r\n\r\n")
