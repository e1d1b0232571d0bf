"""Scrape loops of all daemons: one for each that is ready, started and cancelled as the API server tells of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

from pydantic import ValidationError

from buildkit_operator.engine.cache import Cache
from buildkit_operator.exporter.scraper import Reading, Scraper
from buildkit_operator.exporter.targets import KINDS, BuilderTarget, DaemonPod, read_builder
from buildkit_operator.kube.resources import POD, Key

logger = logging.getLogger(__name__)

SILENT = Reading()
"""Of a daemon that is not scraped."""


class Scrapers:
    """All builders, and the scrape loops of their daemons."""

    def __init__(self, cache: Cache, make_scraper: Callable[[DaemonPod], Scraper]) -> None:
        """Know what stands in `cache`, of each builder from when `changed` was called for it."""
        self._cache = cache
        self._make_scraper = make_scraper
        self._targets: dict[Key, BuilderTarget] = {}
        self._running: dict[DaemonPod, tuple[Scraper, asyncio.Task[None]]] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Scrape for ever. Ends with an error that nobody foresaw."""
        async with asyncio.TaskGroup() as self._group:
            for builder in self._targets.values():
                self._begin(builder)
            await asyncio.Event().wait()

    def changed(self, key: Key) -> None:
        """Take note that a builder or one of its pods is new, changed or gone."""
        before = self._targets.pop(key, None)
        now = self._read(key)
        if now is not None:
            self._targets[key] = now
        staying = () if now is None else now.pods
        for pod in () if before is None else before.pods:
            if pod not in staying and pod in self._running:
                self._running.pop(pod)[1].cancel()
        if now is not None:
            self._begin(now)

    def builders(self) -> list[BuilderTarget]:
        """Return the builders by namespace and name."""
        return [self._targets[key] for key in sorted(self._targets)]

    def readings(self) -> Iterator[tuple[DaemonPod, Reading]]:
        """Yield every daemon's pod with what it answered last."""
        for builder in self.builders():
            for pod in builder.pods:
                yield pod, self._running[pod][0].reading if pod in self._running else SILENT

    def _read(self, key: Key) -> BuilderTarget | None:
        manifest = self._cache.get(KINDS.primary, *key)
        if manifest is None:
            return None
        try:
            return read_builder(manifest, self._cache.children(key, POD))
        except ValidationError as error:
            logger.warning("Builder %s/%s cannot be read: %s", *key, error)
            return None

    def _begin(self, builder: BuilderTarget) -> None:
        if self._group is None:
            return
        for pod in builder.pods:
            if pod.address is not None and pod not in self._running:
                scraper = self._make_scraper(pod)
                task = self._group.create_task(scraper.run(), name=f"{pod.namespace}/{pod.name}")
                self._running[pod] = scraper, task
