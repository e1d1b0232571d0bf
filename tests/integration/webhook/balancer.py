"""Passes each new connection on to one of several ports, as a Service does; those that are open stay where they are."""

import asyncio
import itertools
import socket
from contextlib import closing, suppress

from tests.integration.background import BackgroundServer
from tests.integration.webhook.webhook_process import WebhookProcess


class Balancer(BackgroundServer):
    """A TCP balancer."""

    def __init__(self) -> None:
        super().__init__("balancer")
        self._members: list[WebhookProcess] = []
        self._turn = itertools.count()

    def add(self, process: WebhookProcess) -> None:
        self._members.append(process)

    def remove(self, process: WebhookProcess) -> None:
        self._members.remove(process)

    async def serve(self, listener: socket.socket) -> None:
        self._server = await asyncio.start_server(self._serve, sock=listener)

    async def stop_serving(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chosen = self._members[next(self._turn) % len(self._members)]
        # Either side may go away: that is what this is for.
        with closing(writer), suppress(ConnectionError):
            back, forth = await asyncio.open_connection("127.0.0.1", chosen.https_port)
            await asyncio.gather(_pass_on(reader, forth), _pass_on(back, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
