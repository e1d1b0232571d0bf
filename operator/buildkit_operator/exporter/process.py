"""Composition root of the exporter: wires the parts of the process, starts them in order, and ends them in time."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from buildkit_operator import __version__
from buildkit_operator.api import names
from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.health import HealthServer
from buildkit_operator.engine.lifecycle import Lifecycle
from buildkit_operator.engine.metrics import CommonMetrics
from buildkit_operator.engine.named_objects import NamedObjects, short_ttl
from buildkit_operator.engine.resync import Resync
from buildkit_operator.engine.watch import Watches
from buildkit_operator.exporter.collector import BuilderCollector
from buildkit_operator.exporter.scraper import Scraper
from buildkit_operator.exporter.scrapers import Scrapers
from buildkit_operator.exporter.targets import KINDS, DaemonPod
from buildkit_operator.exporter.turns import ScrapeLimits
from buildkit_operator.kube.auth import Connection, connect
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import SECRET
from buildkit_operator.settings import ExporterSettings

NAME: Final = names.EXPORTER

logger = logging.getLogger(__name__)


async def run(settings: ExporterSettings) -> int:
    """Run until SIGTERM or SIGINT (0), or until a part ends that should not (1); return the process's exit status."""
    return await ExporterProcess(settings, await connect()).run()


class ExporterProcess:
    """The parts of one process."""

    def __init__(self, settings: ExporterSettings, connection: Connection) -> None:
        """Wire the parts together; nothing runs yet."""
        self._lifecycle = Lifecycle()
        self._metrics = CommonMetrics(names.METRICS_PREFIX, __version__)
        self._connection = connection
        connection.observe = self._metrics.api_request
        self._metrics.clock_skew_seconds.set_function(connection.clock.skew_seconds)
        connection.unreadable.observe = self._metrics.unreadable_object
        connection.user_agent = f"{NAME}/{__version__}"
        self._client = Client(connection, field_manager=NAME, resources=(KINDS.primary,))
        clock, ttl = asyncio.get_running_loop().time, short_ttl(settings.resync_seconds)
        secrets = NamedObjects(self._client, SECRET, clock, ttl)
        limits = ScrapeLimits(settings.concurrency)

        def make_scraper(pod: DaemonPod) -> Scraper:
            return Scraper(pod, secrets, settings, limits)

        cache = Cache(KINDS)
        self._scrapers = Scrapers(cache, make_scraper)
        self._metrics.registry.register(BuilderCollector(self._scrapers))
        self._resync = Resync(
            client=self._client,
            kinds=KINDS,
            namespaces=settings.watch_namespaces,
            cache=cache,
            enqueue=self._scrapers.changed,
            metrics=self._metrics,
            interval=settings.resync_seconds,
        )
        self._watches = Watches(
            connection, KINDS, settings.watch_namespaces, cache, self._scrapers.changed, self._resync.relisted
        )
        self._server = HealthServer(settings.http_port, self._metrics, self._check_liveness, self._check_readiness)

    async def run(self) -> int:
        """Run until a signal, or the unexpected end of a part; return the process's exit status."""
        self._lifecycle.handle_signals()
        port = await self._server.start()
        logger.info("Version %s of the exporter started; metrics and health on port %d.", __version__, port)
        self._lifecycle.spawn(self._work(), "watches")
        await self._lifecycle.stop.wait()
        await self._shut_down()
        logger.info("Stopped.")
        return self._lifecycle.exit_status

    async def _work(self) -> None:
        """Fill the cache, begin to ask the daemons, and watch until told to stop."""
        await self._resync.fill()
        logger.info("The cache is filled: %d builders.", len(self._scrapers.builders()))
        self._lifecycle.spawn(self._resync.run(), "resync")
        self._lifecycle.spawn(self._scrapers.run(), "scrapers")
        await self._lifecycle.watch(self._watches)

    async def _shut_down(self) -> None:
        self._lifecycle.silence_shutdown_errors()
        await self._server.stop()
        await self._lifecycle.end()
        await self._client.close()
        await self._connection.close()

    def _check_liveness(self) -> str | None:
        return "The watches have ended." if self._lifecycle.watches_ended else None

    def _check_readiness(self) -> str | None:
        if self._lifecycle.stop.is_set():
            return "Stopping."
        return None if self._resync.synced else "The cache is not filled yet."
