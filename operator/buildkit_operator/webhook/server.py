"""HTTPS server with certificate reload and graceful shutdown: the API server connects here.

Anybody in the cluster can connect, so what one connection can make us hold, times how many there may be, stays below
the memory that the Deployment lets us have. Who does not ask at the API server's path is sent away before the request's
body is read, and makes room first.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

from aiohttp import StreamReader, web

from buildkit_operator.engine.health import listener
from buildkit_operator.pki.keypairs import KeyPair

MAX_CONNECTIONS: Final = 160
"""An API server keeps up to 25 idle ones (client-go's number), and opens more while it has more to ask at once.
A client that sends what it can and reads nothing makes us hold a MiB for each."""
MAX_HANDSHAKES: Final = 32
"""At one time. More clients wait with the kernel, and whoever never begins to speak keeps off nobody who is in."""
MAX_BODY: Final = 4 * 1024 * 1024
"""In bytes: the API server takes pods of up to 3 MiB. Read into Python's objects, JSON can grow by 30 times."""
SMALL_BODY: Final = 64 * 1024
"""In bytes. Hardly any pod's is larger."""
MAX_LARGE_BODIES: Final = 32 * 1024 * 1024
"""In bytes, of all larger ones that are being read at one time."""
MAX_BUFFERED: Final = 64 * 1024
"""In bytes, of one direction of a connection: with the kernel twice as much, and with us what is still to be sent."""
MAX_FIELDS: Final = 32
MAX_FIELD: Final = 4096
"""In bytes, of a header field's name and of its value."""

HANDSHAKE_SECONDS: Final = 5.0
REQUEST_SECONDS: Final = 10.0
"""For a request's body to arrive. The API server itself waits no longer than that for the answer."""
IDLE_SECONDS: Final = 120.0
"""More than the 90 seconds after which the API server drops an idle connection (Go's DefaultTransport): were we the
first, a request could be on its way just then, and would be lost."""

LINGER_SECONDS: Final = 2.5
"""For clients to learn, each from its next answer, that their connections are closed."""
FINISH_SECONDS: Final = 0.5
"""For a request that has partly come when the lingering is over."""
POLL_SECONDS: Final = 0.02
RETRY_SECONDS: Final = 0.5

logger = logging.getLogger(__name__)

# What no API server sends is refused; nobody shall be able to fill the log with it.
_silent: Final = logging.getLogger(f"{__name__}.aiohttp")
_silent.disabled = True


class HTTPSServer:
    """The HTTPS server of one process."""

    def __init__(
        self, port: int, answer: Callable[[str, bytes], web.Response], knows: Callable[[str], Awaitable[bool]]
    ) -> None:
        """Answer a POST's path and body on `port` with what `answer` says; nothing else runs meanwhile.

        `knows` tells of a path whether it is the API server's, and may take a while to say no.
        """
        self._port = port
        self._answer = answer
        self._knows = knows
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._server: web.Server | None = None
        self._handshakes = asyncio.Semaphore(MAX_HANDSHAKES)
        self._busy: set[web.RequestHandler] = set()
        """Connections with a request that is being read or answered."""
        self._known: set[web.RequestHandler] = set()
        """Connections of an API server."""
        self._large_bodies = 0
        """Bytes of those that are being read."""
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

    async def serve(self) -> None:
        """Let clients in on all addresses until cancelled; a certificate has been presented before. Raises OSError."""
        with listener(self._port) as listening:
            listening.settimeout(0)
            for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):  # The accepted ones inherit it.
                listening.setsockopt(socket.SOL_SOCKET, buffer, MAX_BUFFERED)
            self._server = web.Server(
                self._respond,
                logger=_silent,
                access_log=None,
                keepalive_timeout=IDLE_SECONDS,
                lingering_time=0,
                max_headers=MAX_FIELDS,
                max_line_size=MAX_FIELD,
                max_field_size=MAX_FIELD,
                auto_decompress=False,
            )
            logger.info("Answering the API server.")
            async with asyncio.TaskGroup() as group:
                while True:
                    await self._handshakes.acquire()
                    client = await _next_client(listening)
                    group.create_task(self._shake_hands(self._server, client))

    async def drain(self) -> None:
        """End without losing a request: close each connection after its next answer, the idle ones in the end."""
        server = self._server
        if server is None:
            return
        self._draining = True
        await _wait(LINGER_SECONDS, lambda: not server.connections)
        await _wait(FINISH_SECONDS, lambda: not self._busy)
        server.pre_shutdown()
        await server.shutdown(FINISH_SECONDS)

    async def _shake_hands(self, server: web.Server, client: socket.socket) -> None:
        try:
            transport, _ = await asyncio.get_running_loop().connect_accepted_socket(
                server,
                client,
                ssl=self._tls,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=FINISH_SECONDS,
            )
        except OSError:
            return  # Whoever speaks no TLS or does not trust us knows why.
        finally:
            self._handshakes.release()
        transport.set_write_buffer_limits(MAX_BUFFERED)
        self._make_room(server)

    def _make_room(self, server: web.Server) -> None:
        """If there is one connection too many, close the oldest one that is idle; of strangers', if there is one."""
        connections = [connection for connection in server.connections if connection.connected]
        self._known.intersection_update(connections)
        if len(connections) > MAX_CONNECTIONS:
            idle = [one for one in connections if one not in self._busy]
            strangers = [one for one in idle if one not in self._known]
            next(iter([*strangers, *idle]), connections[-1]).force_close()

    async def _respond(self, request: web.BaseRequest) -> web.Response:
        try:
            response = await self._answered(request)
        finally:
            self._busy.discard(request.protocol)
        if self._draining:
            response.force_close()
        return response

    async def _answered(self, request: web.BaseRequest) -> web.Response:
        # Until then it counts as idle: it may be a stranger's, and those are the first to make room.
        self._busy.discard(request.protocol)
        if not await self._knows(request.path):
            return _refusal(HTTPStatus.NOT_FOUND)
        self._busy.add(request.protocol)
        self._known.add(request.protocol)
        if request.method != "POST":
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED)
        length = request.content_length
        if length is None:
            return _refusal(HTTPStatus.LENGTH_REQUIRED)
        if length > MAX_BODY:
            return _refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if length > SMALL_BODY and self._large_bodies + length > MAX_LARGE_BODIES:
            return _refusal(HTTPStatus.SERVICE_UNAVAILABLE)
        try:
            body = await self._body(request.content, length)
        except TimeoutError:
            return _refusal(HTTPStatus.REQUEST_TIMEOUT)
        except (OSError, EOFError):
            return _refusal(HTTPStatus.BAD_REQUEST)
        return self._answer(request.path, body)

    async def _body(self, content: StreamReader, length: int) -> bytes:
        """Read the body. Raises TimeoutError, and OSError or EOFError where the client has gone."""
        if content.is_eof():  # It came with the request, as nearly all do.
            return content.read_nowait()
        large = length if length > SMALL_BODY else 0
        self._large_bodies += large
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                return await content.readexactly(length)
        finally:
            self._large_bodies -= large


def _refusal(status: HTTPStatus) -> web.Response:
    response = web.Response(status=status)
    response.force_close()
    return response


async def _next_client(listening: socket.socket) -> socket.socket:
    while True:
        try:
            client, _ = await asyncio.get_running_loop().sock_accept(listening)
        except OSError as error:  # It has gone again, or the kernel is short of something. Others will come.
            logger.warning("A client could not be let in: %s", error)
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return client


async def _wait(seconds: float, is_over: Callable[[], bool]) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not is_over() and loop.time() < deadline:  # noqa: ASYNC110  it lasts seconds, once in a process's life
        await asyncio.sleep(POLL_SECONDS)
