"""An event loop in a thread of its own, for servers that stand between a test and the real API server."""

import asyncio
import socket
import threading
from collections.abc import Coroutine
from typing import Any, Final, Self

from hack.cluster.processes import free_port

_TURNS: Final = 20
"""A connection that was accepted gets its transport some turns of the event loop later, and an aborted transport is
gone one turn after that. Turns, not seconds: a thread that waits for the processor makes none in any time.
"""


class BackgroundServer:
    """Runs a server on a port of this machine; no connection of it outlives the block."""

    def __init__(self, name: str) -> None:
        self.port = free_port()
        self._loop: Any = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name)

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self.open())
        self.run(self.start_listening())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def start_listening(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        await self.serve(self._listener)

    async def stop_listening(self) -> None:
        """Take no further connections, and have a transport for each that was taken.

        Accepting ends some turns before the server does: asyncio loses a connection that it was just accepting when
        its server closed (python/cpython#109564).
        """
        self._loop.remove_reader(self._listener)
        await _some_turns()
        await self.stop_serving()

    async def open(self) -> None:
        """Make what serves, before there is a listening socket."""

    async def serve(self, listener: socket.socket) -> None:
        raise NotImplementedError

    async def stop_serving(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        """Close what `open` made, when nothing is accepted any more."""

    async def _end(self) -> None:
        await self.stop_listening()
        await self.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        # Those of tasks that were cancelled before their first step, and of TLS that waits for the other side's answer
        # to its goodbye. Nothing public knows them all.
        for transport in list(self._loop._transports.values()):
            transport.abort()
        await _some_turns()


async def _some_turns() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)
