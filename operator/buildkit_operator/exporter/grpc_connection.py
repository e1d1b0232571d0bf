"""gRPC over HTTP/2, as much of it as asks a few questions of a peer that is not trusted.

What it sends is bounded in bytes, frames and time, whatever it is; gRPC's own library took 500 MB to find that headers
had no end. The protocol: github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error
from h2.settings import SettingCodes

LONGEST_HEADERS: Final = 16 * 1024
"""In bytes, of the metadata of an answer."""
LONGEST_READ: Final = 4 * 1024
"""In bytes that are looked at until the event loop does other work: 400 of the shortest frames."""
OVERHEAD: Final = 256 * 1024
"""In bytes, of an answer: what a peer may send beside it, heads of frames and those of other kinds."""
MOST_EVENTS: Final = 1000
"""Of an answer that is short; each further KiB may take one more."""

_HEAD: Final = 5
"""In bytes, of a message: whether it is compressed, and its length."""
_OK: Final = b"0"


class PeerError(ValueError):
    """A peer does not keep to the protocol, or sends more than is taken; the message says which."""


class StatusError(Exception):
    """A peer answers with an error; the message has its number and its own words, whatever they are."""


@dataclass(slots=True)
class _Answer:
    """What has come of an answer."""

    data: bytearray = field(default_factory=bytearray)
    status: bytes | None = None
    message: bytes = b""
    ended: bool = False


class GrpcConnection:
    """A connection. Everything raises OSError where there is none any more, and PeerError."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, scheme: str) -> None:
        """Speak over an open connection; see `connected`."""
        self._reader = reader
        self._writer = writer
        self._scheme = scheme
        self._http = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self._bytes_left = self._events_left = 0

    async def begin(self) -> None:
        """Say what is taken, before the first question."""
        self._http.initiate_connection()
        self._http.update_settings({SettingCodes.ENABLE_PUSH: 0, SettingCodes.MAX_HEADER_LIST_SIZE: LONGEST_HEADERS})
        await self._send()

    async def ask(self, path: str, request: bytes, longest: int, most: int = 1) -> list[memoryview]:
        """Return the messages of the answer: so many at most, in so many bytes at most. Raises StatusError too."""
        stream = self._http.get_next_available_stream_id()
        self._http.send_headers(stream, self._headers(path))
        self._http.send_data(stream, bytes([0]) + len(request).to_bytes(4) + request, end_stream=True)
        await self._send()
        answer = _Answer()
        self._bytes_left, self._events_left = OVERHEAD + longest, MOST_EVENTS + longest // 1024
        while not answer.ended:
            await self._receive(stream, answer)
            if len(answer.data) > longest:
                raise PeerError(f"an answer of more than {longest} bytes")
        if answer.status != _OK:
            said = answer.message.decode(errors="replace")
            raise StatusError(f"error {(answer.status or b'without a number').decode(errors='replace')}: {said}")
        return _messages(answer.data, most)

    def _headers(self, path: str) -> list[tuple[str, str]]:
        return [
            (":method", "POST"),
            (":scheme", self._scheme),
            (":path", path),
            (":authority", "buildkitd"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]

    async def _receive(self, stream: int, answer: _Answer) -> None:
        """Read a little, and take note of what it says of the answer."""
        data = await self._reader.read(LONGEST_READ)
        if not data:
            raise ConnectionResetError("the connection was closed")
        try:
            events = self._http.receive_data(data)
            for event in events:
                self._note(event, stream, answer)
        except H2Error as error:
            raise PeerError(f"no HTTP/2: {type(error).__name__}") from error
        self._bytes_left -= len(data)
        self._events_left -= len(events)
        if min(self._bytes_left, self._events_left) < 0:
            raise PeerError("more frames than an answer takes")
        await self._send()
        # What has arrived is read without waiting; others must get their turn all the same.
        await asyncio.sleep(0)

    def _note(self, event: Event, stream: int, answer: _Answer) -> None:
        match event:
            case DataReceived(stream_id=number, data=data, flow_controlled_length=length) if number == stream:
                answer.data += data or b""
                if length:
                    self._http.acknowledge_received_data(length, stream)
            case ResponseReceived(stream_id=number, headers=headers) if number == stream:
                told = dict(headers or ())
                if told.get(b":status") != b"200":
                    raise PeerError("an answer without HTTP's status 200")
                _note_status(told, answer)
            case TrailersReceived(stream_id=number, headers=headers) if number == stream:
                _note_status(dict(headers or ()), answer)
            case StreamEnded(stream_id=number) if number == stream:
                answer.ended = True
            case StreamReset(stream_id=number) if number == stream:
                raise ConnectionResetError("the question was cut off")
            case ConnectionTerminated():
                raise ConnectionResetError("the connection is being closed")
            case _:
                return

    async def _send(self) -> None:
        self._writer.write(self._http.data_to_send())
        await self._writer.drain()


def _note_status(headers: dict[bytes, bytes], answer: _Answer) -> None:
    """Take note of how an answer ended, where these headers say so: they are its last."""
    if b"grpc-status" in headers:
        answer.status, answer.message = headers[b"grpc-status"], headers.get(b"grpc-message", b"")


def _messages(data: bytearray, most: int) -> list[memoryview]:
    """Return the messages of an answer. Raises PeerError."""
    found: list[memoryview] = []
    view, position = memoryview(data), 0
    while position < len(view):
        head = view[position : position + _HEAD]
        end = position + _HEAD + int.from_bytes(head[1:])
        if len(head) < _HEAD or end > len(view):
            raise PeerError("an answer that ends within a message")
        if head[0]:
            raise PeerError("a compressed message, which nobody asked for")
        if len(found) == most:
            raise PeerError(f"an answer of more messages than {most}")
        found.append(view[position + _HEAD : end])
        position = end
    return found


@asynccontextmanager
async def connected(
    address: tuple[str, int], tls: ssl.SSLContext | None, server_name: str | None
) -> AsyncIterator[GrpcConnection]:
    """Connect for the length of the block. Raises OSError."""
    reader, writer = await asyncio.open_connection(*address, ssl=tls, server_hostname=server_name, limit=LONGEST_READ)
    try:
        connection = GrpcConnection(reader, writer, "http" if tls is None else "https")
        await connection.begin()
        yield connection
    finally:
        # Without a goodbye: a peer may be slow to take it.
        writer.transport.abort()
