"""Passes each new connection on to one of several ports, as a Service does; those that are open stay where they are."""

import asyncio
import itertools
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Self

from tests.api.webhook.process import WebhookProcess
from tests.cluster.processes import free_port


class Balancer:
    """A TCP balancer in a thread and event loop of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self._members: list[WebhookProcess] = []
        self._turn = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="balancer")

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def add(self, process: WebhookProcess) -> None:
        self._members.append(process)

    def remove(self, process: WebhookProcess) -> None:
        self._members.remove(process)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _close(self) -> None:
        self._server.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chosen = self._members[next(self._turn) % len(self._members)]
        back, forth = await asyncio.open_connection("127.0.0.1", chosen.https_port)
        # Either side may go away: that is what this is for.
        with suppress(ConnectionError):
            await asyncio.gather(_pass_on(reader, forth), _pass_on(back, writer))


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
