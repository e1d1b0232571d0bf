"""Client of one BuildKit daemon: the service moby.buildkit.v1.Control of BuildKit's api/services/control.

Who may edit a builder decides what its daemons say, so each answer is untrusted: it is bounded in bytes, in records, in
time and in what its numbers may be, and read bit by bit, so that the event loop turns meanwhile.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

from buildkit_operator.exporter.grpc_connection import GrpcConnection, StatusError, connected
from buildkit_operator.exporter.protobuf import Value, fields
from buildkit_operator.pki.keypairs import KeyPair

SERVICE: Final = "/moby.buildkit.v1.Control"

LONGEST_ANSWER: Final = 1024 * 1024
"""In bytes, of ListWorkers, and of all that ListenBuildHistory tells: a build that runs takes some hundred."""
LONGEST_DISK_USAGE: Final = 8 * 1024 * 1024
"""In bytes: DiskUsage names every record of the cache, in some 500 bytes each."""
MOST_BUILDS: Final = 10_000
MOST_WORKERS: Final = 1_000
MOST_RECORDS: Final = 100_000
MOST_FIELDS: Final = 1_000
"""Of one record, or one event."""
LARGEST_CACHE: Final = 2**50
"""In bytes: no node has such a disk."""

LONGEST_ERROR: Final = 200
"""In characters, of what is said of an error: a daemon's own words get into the log."""
LONGEST_TURN: Final = 0.002
"""In seconds: how long an answer is read until the event loop does other work."""

_ACTIVE_BUILDS_ONLY: Final = b"\x08\x01\x18\x01"
"""BuildHistoryRequest{ActiveOnly: true, EarlyExit: true}: those that run now, and then the end."""
_EVERYTHING: Final = b""
"""DiskUsageRequest and ListWorkersRequest without a filter."""

_EVENT_TYPE, _STARTED = 1, 0
_RECORD, _IN_USE, _SIZE = 1, 3, 4
"""Numbers of the fields that are read, and one value."""

Address: TypeAlias = tuple[str, int]
"""An IP address and a port."""


class DaemonError(Exception):
    """A daemon did not answer, or nothing that makes sense; the message says what happened, in a short line."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What mutual TLS with a daemon takes."""

    authorities: bytes
    """PEM, of all that may have issued the daemon's certificate."""
    client: KeyPair
    server_name: str
    """Name that the daemon's certificate must carry: its address is a pod's, which none does."""


@dataclass(frozen=True, slots=True)
class Activity:
    """How busy a daemon is."""

    workers: int
    active_builds: int


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """How much a daemon's cache holds, in bytes; at most LARGEST_CACHE."""

    used: int
    reclaimable: int
    """What no build is using now."""


class BuildKitClient:
    """Asks one daemon. Every question is a connection, so that nothing is left of one that is not asked any more.

    Each raises DaemonError where there is no answer in so many seconds.
    """

    def __init__(self, address: Address, credentials: Credentials | None) -> None:
        """Ask at an address; without credentials in plain text. Raises DaemonError for credentials that are none."""
        self._address = address
        self._server_name = None if credentials is None else credentials.server_name
        self._tls = None if credentials is None else _tls(credentials)

    async def activity(self, seconds: float) -> Activity:
        """Return how many workers the daemon has, and how many builds run."""
        async with self._connected(seconds) as connection:
            workers = await connection.ask(f"{SERVICE}/ListWorkers", _EVERYTHING, LONGEST_ANSWER)
            count = await _count_workers(workers)
            events = await connection.ask(
                f"{SERVICE}/ListenBuildHistory", _ACTIVE_BUILDS_ONLY, LONGEST_ANSWER, MOST_BUILDS
            )
            return Activity(count, await _count_started(events))

    async def disk_usage(self, seconds: float) -> DiskUsage:
        """Return what the cache holds, counted as `buildctl du` does it. A daemon that cleans up takes its time."""
        async with self._connected(seconds) as connection:
            answer = await connection.ask(f"{SERVICE}/DiskUsage", _EVERYTHING, LONGEST_DISK_USAGE)
            return await _summed(answer)

    @asynccontextmanager
    async def _connected(self, seconds: float) -> AsyncIterator[GrpcConnection]:
        """Connect for so many seconds, and turn what can go wrong into DaemonError."""
        try:
            async with (
                asyncio.timeout(seconds),
                connected(self._address, self._tls, self._server_name) as connection,
            ):
                yield connection
        except TimeoutError as error:
            raise DaemonError(f"no answer within {seconds:g} seconds") from error
        except (OSError, StatusError) as error:
            raise DaemonError(_printable(str(error))) from error
        except ValueError as error:
            raise DaemonError(f"its answer cannot be read: {_printable(str(error))}") from error


def _tls(credentials: Credentials) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    try:
        context.load_verify_locations(cadata=credentials.authorities.decode("ascii"))
        # OpenSSL reads it from a file. It is nobody else's (mode 0600) and gone again at once.
        with tempfile.NamedTemporaryFile() as file:
            file.write(credentials.client.certificate + b"\n" + credentials.client.key)
            file.flush()
            # With a password, for what has none: else OpenSSL would ask for it at a terminal.
            context.load_cert_chain(file.name, password="")
    except (ssl.SSLError, ValueError) as error:
        raise DaemonError("the certificates in its builder's connection Secret cannot be read") from error
    return context


async def _count_workers(answer: list[memoryview]) -> int:
    turn, count = _Turn(), 0
    for message in answer:
        for number, _value in fields(message, MOST_WORKERS):
            count += number == _RECORD
            await turn.over()
    return count


async def _count_started(events: list[memoryview]) -> int:
    turn, started = _Turn(), 0
    for event in events:
        started += dict(fields(event, MOST_FIELDS)).get(_EVENT_TYPE, _STARTED) == _STARTED
        await turn.over()
    return started


async def _summed(answer: list[memoryview]) -> DiskUsage:
    turn, used, in_use = _Turn(), 0, 0
    for message in answer:
        for number, record in fields(message, MOST_RECORDS):
            if number == _RECORD and isinstance(record, memoryview):
                told = dict(fields(record, MOST_FIELDS))
                size = _size(told.get(_SIZE, 0))
                used += size
                in_use += size if told.get(_IN_USE) else 0
            await turn.over()
    return DiskUsage(_size(used), used - in_use)


class _Turn:
    """How long an answer has been read since the event loop did other work."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    async def over(self) -> None:
        """Let the event loop do other work, if it is time."""
        if time.monotonic() - self._began > LONGEST_TURN:
            await asyncio.sleep(0)
            self._began = time.monotonic()


def _size(value: Value) -> int:
    if not isinstance(value, int) or value > LARGEST_CACHE:  # a negative number has the highest of 64 bits
        raise ValueError("a size that no cache has")
    return value


def _printable(text: str) -> str:
    """Return the beginning of a text, on one line."""
    return "".join(character if character.isprintable() else " " for character in text[:LONGEST_ERROR])
