"""Workers: each takes a key from the work queue, reconciles it, and sees to it that failures are requeued."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

from buildkit_operator.engine.kinds import Reconcile
from buildkit_operator.engine.leader_election import LeaderElection, NotLeader
from buildkit_operator.engine.metrics import ControllerMetrics
from buildkit_operator.engine.queue import WorkQueue
from buildkit_operator.kube.errors import ApiError, Unavailable
from buildkit_operator.kube.resources import Key

RECONCILE_SECONDS: Final = 120.0
"""Longest time one reconcile may take; every request in it has a shorter limit of its own."""
STUCK_SECONDS: Final = 300.0
"""A reconcile that runs this long, its own time limit long past, blocks its worker for good."""

logger = logging.getLogger(__name__)


class Workers:
    """A fixed number of workers, idle while another replica leads."""

    def __init__(
        self,
        queue: WorkQueue[Key],
        reconcile: Reconcile,
        election: LeaderElection,
        metrics: ControllerMetrics,
        count: int,
        noun: str,
    ) -> None:
        """Prepare `count` workers; `noun` says in log messages what a key is of."""
        self._queue = queue
        self._reconcile = reconcile
        self._election = election
        self._metrics = metrics
        self._count = count
        self._noun = noun
        self._tasks: list[asyncio.Task[None]] = []
        self._busy: dict[asyncio.Task[None] | None, float] = {}
        self._stopping = False

    def start(self) -> list[asyncio.Task[None]]:
        """Start working; return the tasks, none of which ends by itself."""
        self._metrics.queue_depth.labels(self._metrics.controller).set_function(lambda: len(self._queue))
        self._metrics.active_workers.labels(self._metrics.controller).set_function(lambda: len(self._busy))
        self._tasks = [
            asyncio.create_task(self._work(), name=f"worker {number}") for number in range(1, self._count + 1)
        ]
        return self._tasks

    async def drain(self, seconds: float) -> None:
        """Take no more keys, let running reconciles end, and cancel those that still run after some seconds."""
        self._stopping = True
        self._queue.close()
        for task in self._tasks:
            if task not in self._busy:
                task.cancel()
        if self._tasks:
            _, running = await asyncio.wait(self._tasks, timeout=seconds)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def check_liveness(self) -> str | None:
        """Return what is wrong with the workers, in a sentence; None where they are well."""
        oldest = min(self._busy.values(), default=None)
        if oldest is not None and time.monotonic() > oldest + STUCK_SECONDS:
            return f"A reconcile has been running for {time.monotonic() - oldest:.0f} seconds."
        if not self._stopping and any(task.done() for task in self._tasks):
            return "A worker ended."
        return None

    async def _work(self) -> None:
        while not self._stopping:
            await self._election.wait_until_leader()
            key = await self._queue.get()
            if not self._election.is_leader():  # the leadership was lost while the queue was empty
                self._queue.add(key)
                self._queue.done(key)
                continue
            started = time.monotonic()
            self._busy[asyncio.current_task()] = started
            try:
                result = await self._attempt(key)
            finally:
                del self._busy[asyncio.current_task()]
                self._queue.done(key)
            self._metrics.reconcile_time_seconds.labels(self._metrics.controller).observe(time.monotonic() - started)
            self._metrics.reconcile_total.labels(self._metrics.controller, result).inc()

    async def _attempt(self, key: Key) -> str:
        """Reconcile once and plan what follows; return the result's name in the metrics."""
        try:
            async with asyncio.timeout(RECONCILE_SECONDS):
                again_after = await self._reconcile(key)
        except NotLeader:
            self._queue.add(key)  # for when this replica leads again; the leader of now has its own queue
            return "requeue_after"
        except Exception as error:  # noqa: BLE001  whatever went wrong, the others go on
            self._plan_retry(key, error)
            return "error"
        self._queue.forget(key)
        if again_after is None:
            return "success"
        self._queue.add_after(key, again_after)
        return "requeue_after"

    def _plan_retry(self, key: Key, error: Exception) -> None:
        self._metrics.reconcile_errors_total.labels(self._metrics.controller).inc()
        wish = error.retry_after if isinstance(error, Unavailable) else None
        delay = self._queue.add_rate_limited(key, at_least=wish or 0.0)
        expected = isinstance(error, ApiError | TimeoutError)
        logger.log(
            logging.WARNING if expected else logging.ERROR,
            "Reconcile failed, next attempt in %.1f seconds: %s",
            delay,
            str(error) or type(error).__name__,
            exc_info=None if expected else error,
            extra={self._noun: "/".join(key)},
        )
