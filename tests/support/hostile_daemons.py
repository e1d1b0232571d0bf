"""Daemons that want to harm who asks them: `python -m tests.support.hostile_daemons`, and a way to start it.

Each kind is a port of one process, which prints the kinds with their ports as JSON, and serves until it is ended.
"""

import asyncio
import json
import subprocess
import sys
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, RequestReceived, StreamEnded, WindowUpdated

HOST: Final = "127.0.0.1"
MIB: Final = 1024 * 1024

Headers = list[tuple[str, str]]
Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def varint(number: int) -> bytes:
    """Return an integer of any size as protobuf writes it."""
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number: int, value: bytes | int) -> bytes:
    """Return a field of a message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def usage(size: int, *, in_use: bool = False) -> bytes:
    """Return a DiskUsageResponse with one record; as a ListWorkersResponse, it has one worker."""
    return field(1, field(1, b"record") + field(3, int(in_use)) + field(4, size))


STARTED: Final = field(2, field(1, b"build"))
"""A BuildHistoryEvent of a build that runs."""


def message(payload: bytes, *, compressed: bool = False) -> bytes:
    """Return a message as gRPC frames it."""
    return bytes([compressed]) + len(payload).to_bytes(4) + payload


@cache
def bomb() -> bytes:
    """Return what becomes 256 MiB."""
    packer = zlib.compressobj(wbits=31)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(256)) + packer.flush()


@dataclass(frozen=True)
class Answer:
    """What is answered to every question, in HTTP/2 as it should be."""

    body: bytes
    head: tuple[tuple[str, str], ...] = ()
    status: str = "0"
    said: str = ""
    times: int = 1
    """How often the body is sent."""


def usages(payload: bytes) -> Answer:
    """Return an answer of one message."""
    return Answer(message(payload))


GOOD: Final = "good"
ANSWERS: Final[dict[str, Callable[[], Answer]]] = {
    GOOD: lambda: usages(usage(1000)),
    "endless": lambda: Answer(message(STARTED), times=10**9),
    "endless-of-nothing": lambda: Answer(message(b"") * 1000, times=10**9),
    # 162 bytes that no float holds.
    "huge-number": lambda: usages(field(1, varint(4 << 3) + b"\xff" * 150 + b"\x01")),
    "long-number": lambda: usages(varint(1 << 3) + b"\xff" * (MIB // 2) + b"\x01"),
    "negative": lambda: usages(usage(2**64 - 5)),
    "absurd": lambda: usages(usage(2**50) * 64),
    "text-for-number": lambda: usages(field(1, field(4, b"12"))),
    "many-workers": lambda: usages(field(1, b"") * (MIB // 4)),
    "many-fields": lambda: usages(field(1, 1) * (7 * MIB // 2)),
    "many-fields-in-records": lambda: usages(field(1, field(5, 1) * 990) * 3600),
    "many-fields-in-a-record": lambda: usages(field(1, field(5, 1) * (7 * MIB // 2))),
    "zeros": lambda: usages(bytes(7 * MIB)),
    "too-long": lambda: usages(field(9, bytes(64 * MIB))),
    "rubbish": lambda: usages(b"\xff" * 12),
    "cut": lambda: Answer(message(usage(1000))[:-2]),
    "bomb": lambda: Answer(message(bomb(), compressed=True), (("grpc-encoding", "gzip"),)),
    "headers": lambda: Answer(b"", tuple((f"flood-{number}", "x" * 4000) for number in range(20))),
    "long-error": lambda: Answer(b"", status="13", said="line%0A \x1b[31mforged: " + "x" * 3000),
    "no-status": lambda: Answer(b"", status="thirteen"),
}
"""Kinds that speak HTTP/2 as they should, and say what they like."""


class _Spoken:
    """One connection with a kind of ANSWERS."""

    def __init__(self, kind: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._kind = kind
        self._reader = reader
        self._writer = writer
        self._http = H2Connection(H2Configuration(client_side=False, validate_outbound_headers=False))
        self._asked: set[int] = set()
        self._over = False

    async def serve(self) -> None:
        self._http.initiate_connection()
        answer = ANSWERS[self._kind]()
        while not self._over:
            while not self._asked:
                await self._listen()
            await self._answer(self._asked.pop(), answer)

    async def _listen(self) -> None:
        await self._send()
        data = await self._reader.read(65536)
        if not data:
            raise ConnectionResetError
        for event in self._http.receive_data(data):
            match event:
                case StreamEnded(stream_id=stream) if stream is not None:
                    self._asked.add(stream)
                case ConnectionTerminated():
                    raise ConnectionResetError
                case RequestReceived() | WindowUpdated() | _:
                    pass

    async def _answer(self, stream: int, answer: Answer) -> None:
        head = [(":status", "200"), ("content-type", "application/grpc"), *answer.head]
        self._http.send_headers(stream, head)
        for _ in range(answer.times):
            await self._send_body(stream, answer.body)
        trailers = [("grpc-status", answer.status), ("grpc-message", answer.said)]
        self._http.send_headers(stream, trailers, end_stream=True)
        await self._send()

    async def _send_body(self, stream: int, body: bytes) -> None:
        position = 0
        while position < len(body):
            room = min(self._http.local_flow_control_window(stream), self._http.max_outbound_frame_size)
            if room == 0:
                await self._listen()
                continue
            self._http.send_data(stream, body[position : position + room])
            position += room
            await self._send()

    async def _send(self) -> None:
        self._writer.write(self._http.data_to_send())
        await self._writer.drain()


# Those that do not even speak HTTP/2 as they should. A frame: length, type, flags, stream; RFC 9113, 4.1.


def frame(kind: int, flags: int, payload: bytes, stream: int = 1) -> bytes:
    """Return a frame."""
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


def literal(name: str, value: str) -> bytes:
    """Return a header that nothing remembers; RFC 7541, 6.2.2."""
    return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


HEAD: Final = b"\x88" + literal("content-type", "application/grpc")
SETTINGS: Final = frame(4, 0, b"", stream=0)


def _after(*begin: bytes, then: bytes = b"", pause: float = 0) -> Raw:
    """Begin a connection, say what is to be said to a first question, and then the same for ever."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SETTINGS)
        await reader.readexactly(24)
        await asyncio.sleep(0.2)
        writer.write(b"".join(begin))
        while True:
            writer.write(then)
            await writer.drain()
            await asyncio.sleep(pause)

    return serve


RAW: Final[dict[str, Raw]] = {
    "silent": _after(pause=3600),
    "trickle": _after(frame(1, 4, HEAD), frame(0, 0, b"\x00\x00\x07\xff\xff"), then=frame(0, 0, b"\x0a"), pause=0.05),
    "continuation": _after(frame(1, 0, HEAD), then=frame(9, 0, literal("x", "y" * 100) * 100)),
    "pings": _after(then=frame(6, 0, b"floodung", stream=0) * 100),
    "settings": _after(then=SETTINGS * 100),
    "empty-frames": _after(frame(1, 4, HEAD), then=frame(0, 0, b"") * 100),
    "unknown-frames": _after(then=frame(200, 0, b"", stream=0) * 100),
    "closed-stream": _after(frame(1, 5, HEAD), then=frame(0, 0, b"x") * 100),
    "no-http": _after(then=b"HTTP/1.1 200 OK\r\n\r\n" * 100),
}
KINDS: Final = (*ANSWERS, *RAW)


async def _serve(kind: str, host: str, port: int) -> asyncio.Server:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await (RAW[kind](reader, writer) if kind in RAW else _Spoken(kind, reader, writer).serve())
        writer.close()

    return await asyncio.start_server(one, host, port)


async def main(port: int, hosts: list[str]) -> None:
    """Serve each kind: on a port of its own, or all on one port, each at an address of its own."""
    servers = [await _serve(kind, hosts[n] if hosts else HOST, port) for n, kind in enumerate(KINDS)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    print(json.dumps(dict(zip(KINDS, ports, strict=True))), flush=True)
    await asyncio.Event().wait()


@contextmanager
def hostile_daemons(port: int = 0, hosts: tuple[str, ...] = ()) -> Iterator[dict[str, int]]:
    """Run them all; yield their ports by kind. With `hosts` all have one port, each at the next of these addresses."""
    command = [sys.executable, "-m", "tests.support.hostile_daemons", str(port), *hosts]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
