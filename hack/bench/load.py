"""A load generator that costs little beside what it measures: prepared requests over kept TLS connections."""

import selectors
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

SECONDS: Final = 3.0
"""How long each request is sent, in all."""
TURNS: Final = 6
"""In how many parts of that time, so that what the machine does besides hits all requests alike."""
_LONGEST_ANSWER_SECONDS: Final = 30


@dataclass(frozen=True)
class Request:
    """A POST of JSON, and what its answer must contain for the time to count."""

    path: str
    body: bytes
    expected: bytes


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

    def ask(self, *requests: Request, concurrency: int) -> list[list[float]]:
        """Send each request for SECONDS on so many connections, on each when it was answered; requests take turns.

        Returns the durations of each request's answers, in seconds. Raises AssertionError for an unexpected answer.
        """
        taken: list[list[float]] = [[] for _ in requests]
        with selectors.DefaultSelector() as selector, ExitStack() as stack:
            connections = [_Connection(stack.enter_context(self._connect())) for _ in range(concurrency)]
            for connection in connections:
                selector.register(connection.socket, selectors.EVENT_READ, connection)
            for turn in range(TURNS + 1):
                for durations, request in zip(taken, requests, strict=True):
                    more = _take_turn(selector, connections, self._encode(request), request.expected)
                    if turn > 0:  # until then, things are compiled and filled
                        durations.extend(more)
        return taken

    def _connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection(("127.0.0.1", self.port))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.tls.wrap_socket(plain, server_hostname=self.name)

    def _encode(self, request: Request) -> bytes:
        headers = {
            "Host": self.name,
            "Content-Type": "application/json",
            "Content-Length": str(len(request.body)),
            **self.headers,
        }
        lines = [f"POST {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + request.body


def _take_turn(
    selector: selectors.BaseSelector, connections: Sequence["_Connection"], request: bytes, expected: bytes
) -> list[float]:
    """Send one request over and over for its part of the time, and wait for the last answers."""
    taken: list[float] = []
    deadline = time.perf_counter() + SECONDS / TURNS
    for connection in connections:
        connection.send(request)
    open_requests = len(connections)
    while open_requests:
        ready = selector.select(_LONGEST_ANSWER_SECONDS)
        assert ready, f"no answer within {_LONGEST_ANSWER_SECONDS} seconds"
        for key, _ in ready:
            connection = key.data
            if not connection.is_answered():
                continue
            taken.append(connection.seconds)
            assert expected in connection.answer, connection.answer
            if time.perf_counter() < deadline:
                connection.send(request)
            else:
                open_requests -= 1
    return taken


class _Connection:
    """One connection, on which one request at a time waits for its answer."""

    def __init__(self, connected: ssl.SSLSocket) -> None:
        self.socket = connected
        self.socket.settimeout(0)
        self.answer = b""
        self.seconds = 0.0
        """How long the last answer took."""

    def send(self, request: bytes) -> None:
        self.answer = b""
        self._sent = time.perf_counter()
        self.socket.sendall(request)

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
