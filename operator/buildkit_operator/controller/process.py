"""One operator process: puts the parts together, starts them in the one order that works, and ends them in time."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

from buildkit_operator import __version__
from buildkit_operator.api import names
from buildkit_operator.api.conditions import fitted
from buildkit_operator.controller.context import Context, MakeReconcile
from buildkit_operator.controller.watched import BUILDERS
from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.events import EventRecorder
from buildkit_operator.engine.health import HealthServer
from buildkit_operator.engine.kinds import Kinds
from buildkit_operator.engine.leader_client import LeaderOnlyClient
from buildkit_operator.engine.leader_election import LeaderElection, LeaseLeaderElection, NoLeaderElection
from buildkit_operator.engine.lifecycle import Lifecycle
from buildkit_operator.engine.metrics import ControllerMetrics
from buildkit_operator.engine.queue import WorkQueue
from buildkit_operator.engine.resync import Resync
from buildkit_operator.engine.watch import Watches
from buildkit_operator.engine.workers import Workers
from buildkit_operator.kube.auth import Connection, connect
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import Key
from buildkit_operator.settings import Settings

# Together they stay under 5 seconds.
DRAIN_SECONDS: Final = 2.5
FLUSH_SECONDS: Final = 0.5
RELEASE_SECONDS: Final = 0.5

logger = logging.getLogger(__name__)


async def run(settings: Settings, make_reconcile: MakeReconcile, kinds: Kinds = BUILDERS) -> int:
    """Run until SIGTERM or SIGINT (0), or until a part ends that should not (1); give the process's exit status."""
    return await Operator(settings, await connect(), kinds, make_reconcile).run()


class Operator:
    """The parts of one process."""

    def __init__(self, settings: Settings, connection: Connection, kinds: Kinds, make_reconcile: MakeReconcile) -> None:
        """Wire the parts together; nothing runs yet."""
        self._lifecycle = Lifecycle()
        namespaces = settings.watch_namespaces
        self._metrics = ControllerMetrics(names.METRICS_PREFIX, __version__, names.SINGULAR)
        self._connection = connection
        connection.observe = self._metrics.api_request
        connection.user_agent = f"{names.FIELD_MANAGER}/{__version__}"
        # One watch a kind and namespace, and room for the workers, lists, the Lease and events.
        connection.limit = len(kinds.all) * max(1, len(namespaces)) + settings.workers + 8
        self._cache = Cache(kinds)
        self._queue: WorkQueue[Key] = WorkQueue()
        self._reader = Client(connection, field_manager=names.FIELD_MANAGER, resources=(kinds.primary,))
        self._election = self._make_election(settings)
        self._writer = LeaderOnlyClient(
            connection,
            field_manager=names.FIELD_MANAGER,
            kinds=kinds,
            cache=self._cache,
            election=self._election,
            enqueue=self._queue.add,
        )
        self._recorder = EventRecorder(self._writer, names.CONTROLLER, settings.identity, fitted)
        self._resync = Resync(
            client=self._reader,
            kinds=kinds,
            namespaces=namespaces,
            cache=self._cache,
            enqueue=self._queue.add,
            metrics=self._metrics,
            interval=settings.resync_seconds,
        )
        self._watches = Watches(connection, kinds, namespaces, self._cache, self._queue.add, self._resync.relisted)
        context = Context(self._writer, self._cache, self._recorder, settings, self._metrics)
        self._workers = Workers(
            self._queue, make_reconcile(context), self._election, self._metrics, settings.workers, "builder"
        )
        self._server = HealthServer(settings.http_port, self._metrics, self._check_liveness, self._check_readiness)

    async def run(self) -> int:
        """Run until a signal, or the unexpected end of a part; give the process's exit status."""
        self._lifecycle.handle_signals()
        port = await self._server.start()
        logger.info("Version %s started; health and metrics on port %d.", __version__, port)
        elector = self._lifecycle.spawn(self._election.run(), "leadership")
        self._lifecycle.spawn(self._recorder.run(), "events")
        self._lifecycle.spawn(self._work(), "watches")
        await self._lifecycle.stop.wait()
        await self._shut_down(elector)
        logger.info("Stopped.")
        return self._lifecycle.exit_status

    async def _work(self) -> None:
        """Fill the cache, start working, and watch until told to stop."""
        await self._resync.fill()
        logger.info("The cache is filled: %d builders.", len(self._cache.primary_keys()))
        for task in self._workers.start():
            self._lifecycle.guard(task)
        self._lifecycle.spawn(self._resync.run(), "resync")
        await self._lifecycle.watch(self._watches)

    async def _shut_down(self, elector: asyncio.Task[None]) -> None:
        """Finish what runs, hand the Lease over, and only then let go of the watches and connections."""
        self._lifecycle.hush()
        await self._workers.drain(DRAIN_SECONDS)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._recorder.flush(), FLUSH_SECONDS)
        elector.cancel()
        await asyncio.wait({elector})
        with suppress(TimeoutError):
            await asyncio.wait_for(self._election.release(), RELEASE_SECONDS)
        await self._server.stop()
        await self._lifecycle.end()
        await self._reader.close()
        await self._writer.close()
        await self._connection.close()

    def _check_liveness(self) -> str | None:
        if self._lifecycle.watches_ended:
            return "The watches have ended."
        return self._workers.check_liveness()

    def _check_readiness(self) -> str | None:
        return None if self._resync.synced else "The cache is not filled yet."

    def _make_election(self, settings: Settings) -> LeaderElection:
        if not settings.lease:
            self._metrics.leading.set(1)
            return NoLeaderElection()
        return LeaseLeaderElection(
            self._reader, settings.lease_namespace, settings.lease_name, settings.identity, self._metrics.leading.set
        )
