"""Process lifecycle with graceful shutdown: signals, parts that must not end by themselves, watches that end last."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Coroutine
from typing import Any, Final

from buildkit_operator.engine.kopf_adapter import silence_shutdown_errors
from buildkit_operator.engine.watch import Watches

UNWATCH_SECONDS: Final = 0.5

logger = logging.getLogger(__name__)


class Lifecycle:
    """One process's tasks. It is to stop on SIGTERM or SIGINT (0), and when one of them ends unexpectedly (1)."""

    def __init__(self) -> None:
        """Be told to stop by nobody yet."""
        self.stop = asyncio.Event()
        self.exit_status = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._watching: asyncio.Task[Any] | None = None
        self._unwatch = asyncio.Event()
        self._watches_ending = asyncio.Event()

    def handle_signals(self) -> None:
        """Stop on SIGTERM and SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.stop.set)

    def spawn(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Start a part that the process cannot do without."""
        task = asyncio.create_task(work, name=name)
        self.guard(task)
        return task

    def guard(self, task: asyncio.Task[None]) -> None:
        """Take a task for such a part."""
        self._tasks.append(task)
        task.add_done_callback(self._ended)

    @property
    def watches_ended(self) -> bool:
        """Whether the watches are over although nobody told them to stop: only a new process helps."""
        return self._watches_ending.is_set() and not self.stop.is_set()

    def silence_shutdown_errors(self) -> None:
        """Ignore errors of watches whose connections are taken away while the process stops."""
        silence_shutdown_errors()

    async def end(self) -> None:
        """End the watches, then every task that is left, also those that nobody waits for."""
        if self._watching is not None:
            self._unwatch.set()
            await asyncio.wait({self._watching}, timeout=UNWATCH_SECONDS)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=UNWATCH_SECONDS)

    async def watch(self, watches: Watches) -> None:
        """Watch until the end. Other parts start before, see kopf_adapter."""
        self._watching = asyncio.current_task()
        await watches.run(self._unwatch, self._watches_ending, self.handle_signals)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self.stop.is_set():
            return
        logger.critical(
            "The part %r ended unexpectedly, and the process with it; a new one takes over.",
            task.get_name(),
            exc_info=None if task.cancelled() else task.exception(),
        )
        self.exit_status = 1
        self.stop.set()
