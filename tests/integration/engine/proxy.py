"""A reverse proxy in front of the real API server, which fails as networks and servers do."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from pathlib import Path
from typing import Final

import aiohttp
import yaml
from aiohttp import web

from hack.cluster.controlplane import ControlPlane
from tests.integration.background import BackgroundServer

_HOP_BY_HOP: Final = {"connection", "content-encoding", "content-length", "host", "keep-alive", "transfer-encoding"}


class FaultProxy(BackgroundServer):
    """Passes requests on until it is told to fail."""

    def __init__(self, control_plane: ControlPlane) -> None:
        super().__init__("fault proxy")
        self._upstream = control_plane.url
        self._token = control_plane.token
        self._status: HTTPStatus | None = None
        self._remaining: int | None = None
        self.refused = 0

    def write_kubeconfig(self, file: Path) -> Path:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "proxy", "user": {"token": self._token}}],
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

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        if (status := self._fault()) is not None:
            self.refused += 1
            said = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "message": status.phrase}
            headers = {"Retry-After": "1"} if status == HTTPStatus.TOO_MANY_REQUESTS else {}
            return web.json_response(said, status=status, headers=headers)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP}
        response = web.StreamResponse()
        # Either side may go away in the middle: that is what this is for.
        with suppress(aiohttp.ClientError, ConnectionError):
            async with self._session.request(
                request.method, self._upstream + request.raw_path, headers=headers, data=await request.read() or None
            ) as answer:
                response.set_status(answer.status)
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP}
                response.headers.update(kept)
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
                await response.write_eof()
        return response

    def _fault(self) -> HTTPStatus | None:
        if self._remaining is not None:
            if self._remaining == 0:
                self._status, self._remaining = None, None
            else:
                self._remaining -= 1
        return self._status
