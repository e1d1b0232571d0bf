"""Scrape loop of one daemon; a scrape that fails clears its readings, so that none outlives its daemon."""

from __future__ import annotations

import asyncio
import logging
from base64 import b64decode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.desired.certificates import key_pair
from buildkit_operator.engine.jitter import jittered
from buildkit_operator.engine.named_objects import NamedObjects
from buildkit_operator.exporter.buildkit_client import Activity, BuildKitClient, Credentials, DaemonError, DiskUsage
from buildkit_operator.exporter.targets import DaemonPod
from buildkit_operator.exporter.turns import ScrapeLimits, Turns
from buildkit_operator.kube.errors import ApiError
from buildkit_operator.settings import ExporterSettings

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Reading:
    """A daemon's last answers; None where it gave none."""

    activity: Activity | None = None
    disk_usage: DiskUsage | None = None

    @property
    def up(self) -> bool:
        """Whether the daemon answers."""
        return self.activity is not None

    def clear(self) -> None:
        """Forget all answers."""
        self.activity = self.disk_usage = None


@dataclass(frozen=True, slots=True)
class Said:
    """What the log says of one kind of trouble with a daemon."""

    wrong: str
    well: str


ANSWERS: Final = Said("does not answer", "answers again")
TELLS_CACHE: Final = Said("does not tell what its cache holds", "tells again what its cache holds")


class Scraper:
    """The scrape loop of one daemon, until cancelled. Nothing that the daemon does ends it, or anything else."""

    def __init__(self, pod: DaemonPod, secrets: NamedObjects, settings: ExporterSettings, limits: ScrapeLimits) -> None:
        """Connect with what the builder's connection Secret holds, when it is the turn of the pod's namespace."""
        self.pod = pod
        self.reading = Reading()
        self._secrets = secrets
        self._settings = settings
        self._limits = limits
        self._client: BuildKitClient | None = None
        self._complaints: set[Said] = set()

    async def run(self) -> None:
        """Ask at an interval."""
        settings, limits, namespace = self._settings, self._limits, self.pod.namespace
        async with asyncio.TaskGroup() as both:
            both.create_task(_repeat(self._ask_activity, settings.interval_seconds, limits.activity.of(namespace)))
            both.create_task(
                _repeat(self._ask_disk_usage, settings.disk_usage_interval_seconds, limits.disk_usage.of(namespace))
            )

    async def _ask_activity(self) -> None:
        try:
            client = await self._connect()
            self.reading.activity = await client.activity(self._settings.timeout_seconds)
        except Exception as error:  # noqa: BLE001  whatever it is, other daemons are asked
            self.reading.clear()
            self._complain(ANSWERS, error)
            # The certificates may have changed: the next question reads them anew.
            self._secrets.forget(self.pod.namespace, names.connection_secret(self.pod.builder))
            self._client = None
        else:
            self._complain(ANSWERS, None)

    async def _ask_disk_usage(self) -> None:
        try:
            client = await self._connect()
            self.reading.disk_usage = await client.disk_usage(self._settings.disk_usage_timeout_seconds)
        except Exception as error:  # noqa: BLE001  the same
            self.reading.disk_usage = None
            self._complain(TELLS_CACHE, error)
        else:
            self._complain(TELLS_CACHE, None)

    async def _connect(self) -> BuildKitClient:
        if self.pod.address is None:
            raise DaemonError("its pod is not ready")
        credentials = None if self._client is not None else await self._credentials()
        # Somebody else may have made it meanwhile.
        if self._client is None:
            self._client = BuildKitClient(self.pod.address, credentials)
        return self._client

    async def _credentials(self) -> Credentials | None:
        if self.pod.server_name is None:
            return None
        name = names.connection_secret(self.pod.builder)
        secret = await self._secrets.get(self.pod.namespace, name)
        pair, authorities = key_pair(secret), ((secret or {}).get("data") or {}).get("ca.crt")
        if pair is None or authorities is None:
            raise DaemonError(f"there is no Secret {name} with ca.crt, tls.crt and tls.key")
        return Credentials(b64decode(authorities), pair, self.pod.server_name)

    def _complain(self, what: Said, error: Exception | None) -> None:
        """Log a change for the better or worse, and nothing while it stays as it is."""
        who, known = f"{self.pod.namespace}/{self.pod.name}", what in self._complaints
        if error is None:
            self._complaints.discard(what)
            if known:
                logger.info("Daemon %s %s.", who, what.well)
        elif not known:
            self._complaints.add(what)
            foreseen = isinstance(error, DaemonError | ApiError)
            logger.warning("Daemon %s %s: %s", who, what.wrong, error, exc_info=None if foreseen else error)


async def _repeat(ask: Callable[[], Awaitable[None]], interval: float, turns: Turns) -> None:
    while True:
        async with turns.turn():
            await ask()
        await asyncio.sleep(jittered(interval))
