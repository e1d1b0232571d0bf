"""A reverse proxy in front of the real API server, which fails as networks and servers do."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from email.utils import format_datetime, parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp
import yaml
from aiohttp import web
from aiohttp.client import _RequestContextManager

from hack.cluster.controlplane import ControlPlane
from tests.integration.background import BackgroundServer

_SLOW_BYTES: Final = 2048
_SLOW_SECONDS: Final = 0.05
"""The pause after so many bytes of a slow answer."""
_CUT_SECONDS: Final = 0.3
_HOP_BY_HOP: Final = {"connection", "content-encoding", "content-length", "host", "keep-alive", "transfer-encoding"}


class FaultProxy(BackgroundServer):
    """Passes requests on until it is told to fail."""

    def __init__(self, control_plane: ControlPlane) -> None:
        super().__init__("fault proxy")
        self._upstream = control_plane.url
        self._token = control_plane.token
        self._status: HTTPStatus | None = None
        self._remaining: int | None = None
        self._is_silent = False
        self._is_slow = False
        self._is_forgetful = False
        self._clock_offset = timedelta(0)
        self._lost: set[asyncio.BaseTransport | None] = set()
        self._watching: set[asyncio.BaseTransport] = set()
        self.refused = 0

    def write_kubeconfig(self, file: Path, token: str = "") -> Path:
        """Write a kubeconfig that leads here, of an admin unless a token is given."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "proxy", "user": {"token": token or self._token}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "proxy"}}],
        }
        file.write_text(yaml.safe_dump(config))
        return file

    @contextmanager
    def answering(self, status: HTTPStatus) -> Iterator[None]:
        """Cut all connections, and answer every request with a status within the block."""
        self._status = status
        self._cut()
        try:
            yield
        finally:
            self._status = None

    def answer_next(self, status: HTTPStatus, times: int) -> None:
        """Cut all connections, and answer the next requests with a status."""
        self._status, self._remaining = status, times
        self._cut()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Cut all connections and refuse new ones within the block."""
        self.run(self.stop_listening())
        self._cut()
        try:
            yield
        finally:
            self.run(self.start_listening())

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Let no byte pass within the block; then cut all connections, so that nothing of it arrives late."""
        self._is_silent = True
        try:
            yield
        finally:
            self._is_silent = False
            self._cut()

    @contextmanager
    def losing(self) -> Iterator[None]:
        """Let no byte pass within the block, nor ever after on connections that were open then."""
        self._is_silent = True
        try:
            yield
        finally:
            self.run(self._lose())
            self._is_silent = False

    @contextmanager
    def slow(self) -> Iterator[None]:
        """Cut all connections, and answer in drops within the block."""
        self._is_slow = True
        self._cut()
        try:
            yield
        finally:
            self._is_slow = False

    @contextmanager
    def forgetting(self) -> Iterator[None]:
        """Cut all watches, and answer each within the block that its resourceVersion is gone (410)."""
        self._is_forgetful = True
        self.cut_watches()
        try:
            yield
        finally:
            self._is_forgetful = False

    @contextmanager
    def cutting(self) -> Iterator[None]:
        """Cut all watches over and over within the block."""
        is_over = threading.Event()

        def cut() -> None:
            while not is_over.wait(_CUT_SECONDS):
                self.cut_watches()

        cutter = threading.Thread(target=cut, name="cutter")
        cutter.start()
        try:
            yield
        finally:
            is_over.set()
            cutter.join()

    @contextmanager
    def telling_time(self, offset: timedelta) -> Iterator[None]:
        """Have the API server's clock be that much ahead of what it is, within the block."""
        self._clock_offset = offset
        try:
            yield
        finally:
            self._clock_offset = timedelta(0)

    def cut_watches(self) -> None:
        """Cut the connections of all watches, in the middle of what they tell."""
        self.run(self._abort_watches())

    async def open(self) -> None:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, ssl=False))
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()

    async def serve(self, listener: socket.socket) -> None:
        self._site = web.SockSite(self._runner, listener)
        await self._site.start()

    async def stop_serving(self) -> None:
        await self._site.stop()

    async def close(self) -> None:
        await self._abort()
        await self._session.close()
        await self._runner.cleanup()

    def _cut(self) -> None:
        self.run(self._abort())

    async def _abort(self) -> None:
        assert self._runner.server
        for connection in self._runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    async def _abort_watches(self) -> None:
        for transport in self._watching:
            transport.abort()  # type: ignore[attr-defined]  # a socket's has it

    async def _lose(self) -> None:
        assert self._runner.server
        self._lost |= {connection.transport for connection in self._runner.server.connections}

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        if (status := self._fault()) is not None:
            self.refused += 1
            said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "message": status.phrase}
            headers = {"Retry-After": "1"} if status == HTTPStatus.TOO_MANY_REQUESTS else {}
            return web.json_response(said, status=status, headers=headers)
        await self._gate(request)
        is_watch = request.query.get("watch") == "true"
        if is_watch and self._is_forgetful:
            self.refused += 1
            gone = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired"}
            return web.Response(text=json.dumps({"type": "ERROR", "object": gone}) + "\n")
        response, transport = web.StreamResponse(), request.transport
        if is_watch and transport is not None:
            self._watching.add(transport)
        try:
            async with self._ask(request, await request.read()) as answer:
                response.set_status(answer.status)
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
                response.headers.update(kept)
                if self._clock_offset:
                    told = parsedate_to_datetime(answer.headers["Date"]) + self._clock_offset
                    response.headers["Date"] = format_datetime(told, usegmt=True)
                await self._gate(request)
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await self._gate(request)
                    await self._write(response, chunk)
                await response.write_eof()
        except (aiohttp.ClientError, ConnectionError):
            # Either side may go away in the middle: that is what this is for. The other one sees the same.
            if transport is not None:
                transport.abort()
        finally:
            self._watching -= {transport}
        return response

    def _ask(self, request: web.Request, body: bytes) -> _RequestContextManager:
        """Ask the API server what was asked of the proxy."""
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        return self._session.request(
            request.method, self._upstream + request.raw_path, headers=headers, data=body or None
        )

    async def _gate(self, request: web.Request) -> None:
        """Wait where no byte passes: for ever, as whoever waits for it on this connection gives up or is cut off."""
        if self._is_silent or request.transport in self._lost:
            await asyncio.Event().wait()

    async def _write(self, response: web.StreamResponse, chunk: bytes) -> None:
        size = _SLOW_BYTES if self._is_slow else len(chunk)
        for begin in range(0, len(chunk), size):
            await response.write(chunk[begin : begin + size])
            if self._is_slow:
                await asyncio.sleep(_SLOW_SECONDS)

    def _fault(self) -> HTTPStatus | None:
        if self._remaining is not None:
            if self._remaining == 0:
                self._status, self._remaining = None, None
            else:
                self._remaining -= 1
        return self._status
