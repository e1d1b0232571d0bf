"""An event loop in a thread of its own, for servers that stand between a test and the real API server."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, Final, Self

# A connection that the kernel has accepted gets its transport some turns of the loop later, and a closed transport
# is gone one turn after it was closed.
_SOME_TURNS_SECONDS: Final = 0.1


class BackgroundServer:
    """Runs a server from `open` to `close`; `close` sees every connection, as none comes after `stop_listening`."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name)

    def __enter__(self) -> Self:
        self._thread.start()
        self.run(self.open())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def open(self) -> None:
        raise NotImplementedError

    async def stop_listening(self) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError

    async def _end(self) -> None:
        await self.stop_listening()
        await asyncio.sleep(_SOME_TURNS_SECONDS)
        await self.close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.sleep(_SOME_TURNS_SECONDS)
