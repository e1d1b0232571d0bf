"""Scrape loop of one daemon; a scrape that fails clears its readings, so that none outlives its daemon."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64decode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from buildkit_operator.api import names
from buildkit_operator.desired.certificates import key_pair
from buildkit_operator.engine.jitter import jittered
from buildkit_operator.engine.named_objects import NamedObjects
from buildkit_operator.exporter.buildkit_client import BuildKitClient, Credentials, DaemonError, DiskUsage
from buildkit_operator.exporter.targets import DaemonPod
from buildkit_operator.kube.errors import ApiError
from buildkit_operator.settings import ExporterSettings

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Reading:
    """A daemon's last answers; None where it gave none."""

    active_builds: int | None = None
    workers: int | None = None
    disk_usage: DiskUsage | None = None

    @property
    def up(self) -> bool:
        """Whether the daemon answers."""
        return self.active_builds is not None

    def clear(self) -> None:
        """Forget all answers."""
        self.active_builds = self.workers = self.disk_usage = None


class ScrapeLimits:
    """How many daemons are asked at one time. DiskUsage has a limit of its own: it can take a minute."""

    def __init__(self, concurrency: int) -> None:
        """Let this many be asked how busy they are, and a quarter as many what their caches hold."""
        self.activity = asyncio.Semaphore(concurrency)
        self.disk_usage = asyncio.Semaphore(max(1, concurrency // 4))


class Scraper:
    """The scrape loop of one daemon, until cancelled."""

    def __init__(self, pod: DaemonPod, secrets: NamedObjects, settings: ExporterSettings, limits: ScrapeLimits) -> None:
        """Connect with what the builder's connection Secret holds."""
        self.pod = pod
        self.reading = Reading()
        self._secrets = secrets
        self._settings = settings
        self._limits = limits
        self._client: BuildKitClient | None = None
        self._connecting = asyncio.Lock()
        self._complaint = ""

    async def run(self) -> None:
        """Ask at an interval, and close the connection at the end."""
        settings = self._settings
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_repeat(self._ask_activity, settings.interval_seconds, self._limits.activity))
                both.create_task(
                    _repeat(self._ask_disk_usage, settings.disk_usage_interval_seconds, self._limits.disk_usage)
                )
        finally:
            await self._disconnect()

    async def _ask_activity(self) -> None:
        timeout = self._settings.timeout_seconds
        try:
            client = await self._connect()
            self.reading.workers = await client.workers(timeout)
            self.reading.active_builds = await client.active_builds(timeout)
        except (DaemonError, ApiError) as error:
            self.reading.clear()
            self._complain(str(error))
            # The certificates may have changed: the next question reads them anew.
            self._secrets.forget(self.pod.namespace, names.connection_secret(self.pod.builder))
            await self._disconnect()
        else:
            self._complain("")

    async def _ask_disk_usage(self) -> None:
        try:
            client = await self._connect()
            usage = await client.disk_usage(self._settings.disk_usage_timeout_seconds)
        except (DaemonError, ApiError) as error:
            self.reading.disk_usage = None
            logger.info("Daemon %s/%s does not tell what its cache holds: %s", self.pod.namespace, self.pod.name, error)
        else:
            self.reading.disk_usage = usage

    async def _connect(self) -> BuildKitClient:
        async with self._connecting:
            if self._client is None:
                self._client = BuildKitClient(self.pod.address or "", await self._credentials())
            return self._client

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _credentials(self) -> Credentials | None:
        if self.pod.server_name is None:
            return None
        name = names.connection_secret(self.pod.builder)
        secret = await self._secrets.get(self.pod.namespace, name)
        pair, authorities = key_pair(secret), ((secret or {}).get("data") or {}).get("ca.crt")
        if pair is None or authorities is None:
            raise DaemonError(f"there is no Secret {name} with ca.crt, tls.crt and tls.key")
        return Credentials(b64decode(authorities), pair, self.pod.server_name)

    def _complain(self, complaint: str) -> None:
        """Log a change for the better or worse, and nothing while it stays as it is."""
        who = f"{self.pod.namespace}/{self.pod.name}"
        if complaint and not self._complaint:
            logger.warning("Daemon %s does not answer: %s", who, complaint)
        elif self._complaint and not complaint:
            logger.info("Daemon %s answers again.", who)
        self._complaint = complaint


async def _repeat(ask: Callable[[], Awaitable[None]], interval: float, turn: asyncio.Semaphore) -> None:
    while True:
        async with turn:
            await ask()
        await asyncio.sleep(jittered(interval))
