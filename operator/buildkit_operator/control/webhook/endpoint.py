"""Where the API server connects: TLS with a certificate that can change while connections are open, and a soft end."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import Callable
from typing import Final

from buildkit_operator.control.server import listener
from buildkit_operator.control.webhook.http import Connection, Reply, Request
from buildkit_operator.desired.certificates import KeyPair

HANDSHAKE_SECONDS: Final = 5.0
REQUEST_SECONDS: Final = 10.0
"""For a request to arrive whole. The API server itself waits no longer than that for the answer."""
IDLE_SECONDS: Final = 120.0
"""More than the 90 seconds after which the API server drops an idle connection (Go's DefaultTransport): were we the
first, a request could be on its way just then, and would be lost."""
SWEEP_SECONDS: Final = 5.0

LINGER_SECONDS: Final = 2.5
"""For clients to learn, each from its next answer, that their connections are closed."""
FINISH_SECONDS: Final = 0.5
"""For a request that has partly come when the lingering is over."""
POLL_SECONDS: Final = 0.02


class Endpoint:
    """The HTTPS server of one process."""

    def __init__(self, port: int, answer: Callable[[Request], Reply]) -> None:
        """Answer requests on `port` with what `answer` says, which must not take long: nothing else runs meanwhile."""
        self._port = port
        self._answer = answer
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._draining = False

    @property
    def is_open(self) -> bool:
        """Whether clients can connect and stay connected."""
        return self._server is not None and not self._draining

    def present(self, certificate: KeyPair) -> None:
        """Present a certificate to clients that connect from now on; connections that are open go on."""
        # OpenSSL reads it from a file. It is nobody else's (mode 0600) and gone again at once.
        with tempfile.NamedTemporaryFile() as file:
            file.write(certificate.certificate + certificate.key)
            file.flush()
            self._tls.load_cert_chain(file.name)

    async def start(self) -> None:
        """Listen on all addresses, with a certificate that has been presented. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._connect,
            sock=listener(self._port),
            ssl=self._tls,
            ssl_handshake_timeout=HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=FINISH_SECONDS,
        )
        loop.call_later(SWEEP_SECONDS, self._sweep)

    async def drain(self) -> None:
        """End without losing a request: close each connection after its next answer, the idle ones in the end."""
        if self._server is None:
            return
        self._draining = True
        for connection in self._connections:
            connection.close_after_next()
        await self._wait(LINGER_SECONDS, lambda: not self._connections)
        self._server.close()
        await self._wait(FINISH_SECONDS, lambda: not any(one.is_amid_request for one in self._connections))
        for connection in tuple(self._connections):
            connection.close()
        await self._wait(FINISH_SECONDS, lambda: not self._connections)

    def _connect(self) -> Connection:
        connection = Connection(self._answer, self._connections)
        if self._draining:
            connection.close_after_next()
        return connection

    def _sweep(self) -> None:
        """Close the connections of clients that have gone silent."""
        loop = asyncio.get_running_loop()
        for connection in tuple(self._connections):
            silence = loop.time() - connection.heard_at
            if silence > (REQUEST_SECONDS if connection.is_amid_request else IDLE_SECONDS):
                connection.close()
        loop.call_later(SWEEP_SECONDS, self._sweep)

    async def _wait(self, seconds: float, is_over: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while not is_over() and loop.time() < deadline:  # noqa: ASYNC110  it lasts seconds, once in a process's life
            await asyncio.sleep(POLL_SECONDS)
