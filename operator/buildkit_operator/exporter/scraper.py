"""Asking one daemon over and over, and keeping its last answers: none of them outlives a question without an answer."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64decode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from buildkit_operator.api import names
from buildkit_operator.desired.certificates import key_pair
from buildkit_operator.engine.jitter import jittered
from buildkit_operator.engine.secrets import Secrets
from buildkit_operator.exporter.buildkit_client import Credentials, Daemon, DaemonError, DiskUsage
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

    def forget(self) -> None:
        """Know nothing of the daemon any more."""
        self.active_builds = self.workers = self.disk_usage = None


class Turns:
    """How many daemons are asked at one time. DiskUsage waits in a queue of its own: it can take a minute."""

    def __init__(self, concurrency: int) -> None:
        """Let this many be asked how busy they are, and a quarter as many what their caches hold."""
        self.activity = asyncio.Semaphore(concurrency)
        self.disk_usage = asyncio.Semaphore(max(1, concurrency // 4))


class Conversation:
    """One daemon, asked until cancelled."""

    def __init__(self, pod: DaemonPod, secrets: Secrets, settings: ExporterSettings, turns: Turns) -> None:
        """Connect with what the builder's connection Secret holds."""
        self.pod = pod
        self.reading = Reading()
        self._secrets = secrets
        self._settings = settings
        self._turns = turns
        self._daemon: Daemon | None = None
        self._connecting = asyncio.Lock()
        self._complaint = ""

    async def run(self) -> None:
        """Ask at an interval, and close the connection at the end."""
        settings = self._settings
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_repeat(self._ask_activity, settings.interval_seconds, self._turns.activity))
                both.create_task(
                    _repeat(self._ask_disk_usage, settings.disk_usage_interval_seconds, self._turns.disk_usage)
                )
        finally:
            await self._disconnect()

    async def _ask_activity(self) -> None:
        timeout = self._settings.timeout_seconds
        try:
            daemon = await self._connect()
            self.reading.workers = await daemon.workers(timeout)
            self.reading.active_builds = await daemon.active_builds(timeout)
        except (DaemonError, ApiError) as error:
            self.reading.forget()
            self._complain(str(error))
            # The certificates may have changed: the next question reads them anew.
            self._secrets.forget(self.pod.namespace, names.connection_secret(self.pod.builder))
            await self._disconnect()
        else:
            self._complain("")

    async def _ask_disk_usage(self) -> None:
        try:
            daemon = await self._connect()
            usage = await daemon.disk_usage(self._settings.disk_usage_timeout_seconds)
        except (DaemonError, ApiError) as error:
            self.reading.disk_usage = None
            logger.info("Daemon %s/%s does not tell what its cache holds: %s", self.pod.namespace, self.pod.name, error)
        else:
            self.reading.disk_usage = usage

    async def _connect(self) -> Daemon:
        async with self._connecting:
            if self._daemon is None:
                self._daemon = Daemon(self.pod.address or "", await self._credentials())
            return self._daemon

    async def _disconnect(self) -> None:
        daemon, self._daemon = self._daemon, None
        if daemon is not None:
            await daemon.close()

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
