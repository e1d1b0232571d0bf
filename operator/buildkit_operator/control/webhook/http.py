"""HTTP/1.1 as the API server speaks it: requests with a body of known length, each answered at once, in order.

Whatever else HTTP knows is refused, and the connection closed. An answer needs neither a wait nor a task, so this is a
plain asyncio protocol: a server made for every case spends as much time on a request as all the rest of it takes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

MAX_HEAD: Final = 16 * 1024
MAX_BODY: Final = 8 * 1024 * 1024
"""In bytes: the API server accepts objects of 3 MiB, and a review of an update holds two."""

_END_OF_HEAD: Final = b"\r\n\r\n"
_CLOSING: Final = "Connection: close\r\n"
_FIELD: Final = re.compile(
    rb"^(content-length|transfer-encoding|connection)[ \t]*:[ \t]*([^\r]*?)[ \t]*\r$", re.IGNORECASE | re.MULTILINE
)


class Refusal(Exception):  # noqa: N818  HTTP's word
    """The request cannot be answered, and what comes after it cannot be told apart from it."""

    def __init__(self, status: HTTPStatus) -> None:
        """Refuse with a status."""
        super().__init__(status.phrase)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """One whole request."""

    path: str
    """Without the query."""
    body: bytes
    is_last: bool
    """Whether the client wants the connection closed after it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One whole answer."""

    body: bytes
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = "application/json"

    def encoded(self, *, is_last: bool) -> bytes:
        """Write it out; the last one announces that the connection is closed after it."""
        head = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\n"
            f"Content-Type: {self.content_type}\r\nContent-Length: {len(self.body)}\r\n"
        )
        return f"{head}{_CLOSING if is_last else ''}\r\n".encode() + self.body


class RequestReader:
    """Takes requests out of the bytes of one connection."""

    def __init__(self) -> None:
        """Start with a new connection."""
        self._buffer = bytearray()
        self._head: tuple[str, bool] = ("", False)
        self._body_start = 0
        self._end = 0

    @property
    def is_amid_request(self) -> bool:
        """Whether part of a request has come."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take in what arrived."""
        self._buffer += data

    def next(self) -> Request | None:
        """Return the next request, or None until more has come. Raises Refusal."""
        if not self._end and not self._read_head():
            return None
        if len(self._buffer) < self._end:
            return None
        path, is_last = self._head
        request = Request(path, bytes(self._buffer[self._body_start : self._end]), is_last)
        del self._buffer[: self._end]
        self._end = 0
        return request

    def _read_head(self) -> bool:
        end = self._buffer.find(_END_OF_HEAD, 0, MAX_HEAD)
        if end < 0:
            if len(self._buffer) >= MAX_HEAD:
                raise Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            return False
        line, _, fields = bytes(self._buffer[: end + 2]).partition(b"\r\n")
        path = _path(line)
        length, is_last = _length_and_last(fields)
        self._head = (path, is_last)
        self._body_start = end + len(_END_OF_HEAD)
        self._end = self._body_start + length
        return True


def _path(line: bytes) -> str:
    match line.split(b" "):
        case [b"POST", target, b"HTTP/1.1"]:
            return target.partition(b"?")[0].decode("latin-1")
        case [_, _, b"HTTP/1.1"]:
            raise Refusal(HTTPStatus.METHOD_NOT_ALLOWED)
        case _:
            raise Refusal(HTTPStatus.BAD_REQUEST)


def _length_and_last(fields: bytes) -> tuple[int, bool]:
    """Return the body's length, and whether the client closes the connection."""
    found = [(name.lower(), value.lower()) for name, value in _FIELD.findall(fields)]
    lengths = [value for name, value in found if name == b"content-length"]
    if len(lengths) != 1 or any(name == b"transfer-encoding" for name, _ in found):
        raise Refusal(HTTPStatus.LENGTH_REQUIRED)
    if not lengths[0].isdigit():
        raise Refusal(HTTPStatus.BAD_REQUEST)
    # A number of more digits is not worth reading.
    if len(lengths[0]) > len(str(MAX_BODY)) or int(lengths[0]) > MAX_BODY:
        raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return int(lengths[0]), (b"connection", b"close") in found


class Connection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, answer: Callable[[Request], Reply], connections: set[Connection]) -> None:
        """Answer with `answer`, and be one of `connections` while open."""
        self._answer = answer
        self._connections = connections
        self._reader = RequestReader()
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self.heard_at = self._loop.time()
        """When the client last sent anything, by the event loop's clock."""

    @property
    def is_amid_request(self) -> bool:
        """Whether the client has sent part of a request."""
        return self._reader.is_amid_request

    def close_after_next(self) -> None:
        """Close as soon as one more request has been answered: the client hears of it and sends none in vain."""
        self._closing = True

    def close(self) -> None:
        """Close when what is already answered has been sent."""
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  for the type checker
        self._transport = transport
        self._connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """End."""
        self._connections.discard(self)

    def data_received(self, data: bytes) -> None:
        """Answer the requests that are complete."""
        self.heard_at = self._loop.time()
        self._reader.feed(data)
        try:
            while not self._transport.is_closing() and (request := self._reader.next()) is not None:
                self._send(self._answer(request), is_last=request.is_last or self._closing)
        except Refusal as refusal:
            self._send(Reply(b"", refusal.status), is_last=True)

    def pause_writing(self) -> None:
        """Read no more requests while the client does not take its answers."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        self._transport.resume_reading()

    def _send(self, reply: Reply, *, is_last: bool) -> None:
        self._transport.write(reply.encoded(is_last=is_last))
        if is_last:
            self._transport.close()
