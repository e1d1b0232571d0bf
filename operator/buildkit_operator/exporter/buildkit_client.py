"""gRPC client of one BuildKit daemon: the service moby.buildkit.v1.Control of BuildKit's api/services/control."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import grpc
import grpc.aio

from buildkit_operator.exporter.protobuf import fields
from buildkit_operator.pki.keypairs import KeyPair

SERVICE: Final = "/moby.buildkit.v1.Control"

LONGEST_MESSAGE: Final = 16 * 1024 * 1024
"""In bytes, as BuildKit's own clients have it: DiskUsage names every record of the cache."""
LONGEST_BACKOFF: Final = 5000
"""In milliseconds, until a lost connection is tried again; gRPC's own is two minutes."""

_ACTIVE_BUILDS_ONLY: Final = b"\x08\x01\x18\x01"
"""BuildHistoryRequest{ActiveOnly: true, EarlyExit: true}: those that run now, and then the end."""
_EVERYTHING: Final = b""
"""DiskUsageRequest and ListWorkersRequest without a filter."""

_EVENT_TYPE, _STARTED = 1, 0
_RECORD, _IN_USE, _SIZE = 1, 3, 4
"""Numbers of the fields that are read, and one value."""


class DaemonError(Exception):
    """A daemon did not answer, or nothing that makes sense; the message says what happened."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What mutual TLS with a daemon takes."""

    authorities: bytes
    """PEM, of all that may have issued the daemon's certificate."""
    client: KeyPair
    server_name: str
    """Name that the daemon's certificate must carry: its address is a pod's, which none does."""


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """How much a daemon's cache holds, in bytes."""

    used: int
    reclaimable: int
    """What no build is using now."""


class BuildKitClient:
    """A connection that stays open. Every question raises DaemonError where there is no answer in so many seconds."""

    def __init__(self, address: str, credentials: Credentials | None) -> None:
        """Connect with the first question, to `address` as gRPC writes it; without credentials in plain text."""
        options: list[tuple[str, str | int]] = [
            ("grpc.max_receive_message_length", LONGEST_MESSAGE),
            ("grpc.max_reconnect_backoff_ms", LONGEST_BACKOFF),
            # Daemons are in the cluster. Through a proxy for the world outside they cannot be reached.
            ("grpc.enable_http_proxy", 0),
        ]
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(address, options)
            return
        options.append(("grpc.ssl_target_name_override", credentials.server_name))
        tls = grpc.ssl_channel_credentials(
            credentials.authorities, credentials.client.key, credentials.client.certificate
        )
        self._channel = grpc.aio.secure_channel(address, tls, options)

    async def active_builds(self, seconds: float) -> int:
        """Return how many builds run."""
        call: grpc.aio.UnaryStreamMultiCallable[bytes, bytes]
        call = self._channel.unary_stream(f"{SERVICE}/ListenBuildHistory")
        with _errors():
            events = call(_ACTIVE_BUILDS_ONLY, timeout=seconds)
            return sum([dict(fields(event)).get(_EVENT_TYPE, _STARTED) == _STARTED async for event in events])

    async def workers(self, seconds: float) -> int:
        """Return how many workers the daemon has."""
        with _errors():
            return sum(number == _RECORD for number, _value in fields(await self._ask("ListWorkers", seconds)))

    async def disk_usage(self, seconds: float) -> DiskUsage:
        """Return what the cache holds, counted as `buildctl du` does it. A daemon that cleans up takes its time."""
        with _errors():
            return _summed(await self._ask("DiskUsage", seconds))

    async def close(self) -> None:
        """Close the connection; questions that wait for an answer get none."""
        await self._channel.close()

    async def _ask(self, method: str, seconds: float) -> bytes:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(f"{SERVICE}/{method}")
        return await call(_EVERYTHING, timeout=seconds)


def _summed(answer: bytes) -> DiskUsage:
    used = in_use = 0
    for number, record in fields(answer):
        if number == _RECORD and isinstance(record, bytes):
            told = dict(fields(record))
            size = int(told.get(_SIZE, 0))
            used += size
            in_use += size if told.get(_IN_USE) else 0
    return DiskUsage(used, used - in_use)


@contextmanager
def _errors() -> Iterator[None]:
    """Turn what can go wrong into DaemonError."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise DaemonError(f"{error.code().name}: {error.details()}") from error
    except ValueError as error:
        raise DaemonError(f"its answer cannot be read: {error}") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        # That is how gRPC ends a question whose connection is closed.
        raise DaemonError("the connection was closed") from error
