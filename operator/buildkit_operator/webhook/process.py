"""Composition root of the webhook: wires the parts of the process, starts them in order, and ends them in time."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from buildkit_operator import __version__
from buildkit_operator.admission.review import WebhookName
from buildkit_operator.api import names
from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.health import HealthServer
from buildkit_operator.engine.lifecycle import Lifecycle
from buildkit_operator.engine.resync import Resync
from buildkit_operator.engine.watch import Watches
from buildkit_operator.kube.auth import Connection, connect
from buildkit_operator.kube.client import Client
from buildkit_operator.pki.keypairs import KeyPair
from buildkit_operator.settings import WebhookSettings
from buildkit_operator.webhook.cert_rotation import CONFIGURATION, CertRotation
from buildkit_operator.webhook.handler import RESULTS, AdmissionHandler
from buildkit_operator.webhook.index import KINDS, BuilderIndex
from buildkit_operator.webhook.metrics import WebhookMetrics
from buildkit_operator.webhook.secret_path import SecretPaths
from buildkit_operator.webhook.server import HTTPSServer

FIELD_MANAGER: Final = f"{names.FIELD_MANAGER}-webhook"

logger = logging.getLogger(__name__)


async def run(settings: WebhookSettings) -> int:
    """Run until SIGTERM or SIGINT (0), or until a part ends that should not (1); return the process's exit status."""
    return await WebhookProcess(settings, await connect()).run()


class WebhookProcess:
    """The parts of one process."""

    def __init__(self, settings: WebhookSettings, connection: Connection) -> None:
        """Wire the parts together; nothing runs yet."""
        self._lifecycle = Lifecycle()
        self._metrics = WebhookMetrics(WebhookName, RESULTS, lambda: self._check_readiness() is None)
        self._connection = connection
        connection.observe = self._metrics.api_request
        self._metrics.clock_skew_seconds.set_function(connection.clock.skew_seconds)
        connection.unreadable.observe = self._metrics.unreadable_object
        connection.user_agent = f"{FIELD_MANAGER}/{__version__}"
        self._client = Client(connection, field_manager=FIELD_MANAGER, resources=(KINDS.primary, CONFIGURATION))
        self._cache = Cache(KINDS)
        self._builders = BuilderIndex(self._cache)
        paths = SecretPaths(self._client.clock.now)
        handler = AdmissionHandler(self._builders, self._metrics)
        self._https_server = HTTPSServer(settings.https_port, handler, paths.knows_soon)
        self._rotation = CertRotation(connection, self._client, settings, self._present, paths)
        self._resync = Resync(
            client=self._client,
            kinds=KINDS,
            namespaces=settings.watch_namespaces,
            cache=self._cache,
            enqueue=self._builders.changed,
            metrics=self._metrics,
            interval=settings.resync_seconds,
        )
        resync, changed = self._resync, self._builders.changed
        self._watches = Watches(
            connection, KINDS, settings.watch_namespaces, self._cache, changed, resync.relisted, resync.listed
        )
        self._server = HealthServer(settings.http_port, self._metrics, self._check_liveness, self._check_readiness)
        self._certified = asyncio.Event()

    async def run(self) -> int:
        """Run until a signal, or the unexpected end of a part; return the process's exit status."""
        self._lifecycle.handle_signals()
        port = await self._server.start()
        logger.info("Version %s of the webhook started; health and metrics on port %d.", __version__, port)
        self._lifecycle.spawn(self._rotation.run(), "certificate")
        self._lifecycle.spawn(self._work(), "watches")
        await self._lifecycle.stop.wait()
        await self._shut_down()
        logger.info("Stopped.")
        return self._lifecycle.exit_status

    async def _work(self) -> None:
        """Once there is a certificate, fill the cache, answer the API server, and watch until told to stop."""
        await self._certified.wait()
        await self._resync.fill()
        logger.info("The cache is filled: %d builders.", len(self._cache.primary_keys()))
        self._lifecycle.spawn(self._resync.run(), "resync")
        self._lifecycle.spawn(self._https_server.serve(), "endpoint")
        await self._lifecycle.watch(self._watches)

    def _present(self, certificate: KeyPair) -> None:
        self._https_server.present(certificate)
        parsed = certificate.parsed()
        self._metrics.certificate_begin.set(parsed.not_valid_before_utc.timestamp())
        self._metrics.certificate_end.set(parsed.not_valid_after_utc.timestamp())
        self._certified.set()

    async def _shut_down(self) -> None:
        """Let nobody come any more, answer who is there, and only then let go of the watches and connections."""
        self._lifecycle.silence_shutdown_errors()
        await self._https_server.drain()
        await self._server.stop()
        await self._lifecycle.end()
        await self._client.close()
        await self._connection.close()

    def _check_liveness(self) -> str | None:
        return "The watches have ended." if self._lifecycle.watches_ended else None

    def _check_readiness(self) -> str | None:
        if self._lifecycle.stop.is_set():
            return "Stopping."
        if not self._certified.is_set():
            return "There is no certificate yet that the API server trusts."
        if not self._resync.synced:
            return "The cache is not filled yet."
        return None if self._https_server.is_open else "The port is not open yet."
