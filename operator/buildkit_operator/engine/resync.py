"""Resync of the informer cache with the API server's lists: before work starts, after a relist, every few minutes.

The watches do not report what was deleted while they were disconnected, and a list without objects makes no event.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.jitter import jittered
from buildkit_operator.engine.kinds import Kinds, Listed
from buildkit_operator.engine.metrics import CommonMetrics
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.errors import ApiError
from buildkit_operator.kube.resources import Key, Manifest, Resource

DEBOUNCE_SECONDS: Final = 2.0
"""A relist is reported object by object: the comparison waits until it is probably through."""
RETRY_SECONDS: Final = 2.0

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Resync:
    """The comparisons of one process."""

    client: Client
    kinds: Kinds
    namespaces: Sequence[str]
    """Namespaces that are watched; empty for the whole cluster."""
    cache: Cache
    enqueue: Callable[[Key], None]
    metrics: CommonMetrics
    interval: float
    """Seconds between two unconditional comparisons, give or take a tenth."""
    synced: bool = False
    """Whether the cache has held everything once. Before that, every child looks missing and nothing may be written."""
    listed: Listed = field(default_factory=dict)
    """Versions of the lists that the cache was filled from: the watches go on from there."""
    _relisted: set[Resource] = field(default_factory=set)
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)
    _next_of_all: float = 0.0

    def relisted(self, resource: Resource) -> None:
        """Ask for a comparison of one kind soon."""
        self._relisted.add(resource)
        self._wanted.set()

    async def fill(self) -> None:
        """Fill the cache, however long the API server takes to let us, and enqueue everything."""
        for resource in self.kinds.all:
            await self._fill_with(resource)
        self.synced = True
        self._enqueue_everything()
        self._plan_the_next()

    async def run(self) -> None:
        """Compare when asked, and regularly, for ever."""
        while True:
            everything = await self._wait_until_due()
            due = self.kinds.all if everything else tuple(self._relisted)
            self._relisted.clear()
            self._wanted.clear()
            for resource in due:
                try:
                    await self._compare(resource)
                except ApiError as error:
                    logger.warning("%s could not be compared with the cache: %s", resource.display_name, error)
                    self.relisted(resource)
            if everything:
                self._enqueue_everything()
                self._plan_the_next()

    def _plan_the_next(self) -> None:
        self._next_of_all = asyncio.get_running_loop().time() + jittered(self.interval)

    async def _wait_until_due(self) -> bool:
        """Wait for the next comparison; tell whether it is one of everything."""
        try:
            async with asyncio.timeout_at(self._next_of_all):
                await self._wanted.wait()
                await asyncio.sleep(DEBOUNCE_SECONDS)
        except TimeoutError:
            return True
        return False

    async def _fill_with(self, resource: Resource) -> None:
        while True:
            try:
                for namespace in self.namespaces or (None,):
                    await self._take_in(resource, namespace)
            except ApiError as error:
                logger.warning("Waiting for a first list of %s: %s", resource.display_name, error)
                await asyncio.sleep(jittered(RETRY_SECONDS))
            else:
                return

    async def _take_in(self, resource: Resource, namespace: str | None) -> None:
        selector, keep = self.kinds.selector(resource), partial(self._put, resource)
        uids: list[str] = []
        version = 0
        async for page, version in self.client.pages(resource, namespace, label_selector=selector, keep=keep):  # noqa: B007
            uids += (metadata["uid"] for metadata in page)
        # An attempt before this one, which failed half-way, may have found more.
        self.cache.prune(resource, namespace, uids, version)
        self.listed[resource, namespace] = version

    def _put(self, resource: Resource, manifest: Manifest) -> Manifest:
        """Take an object in as soon as it is decoded, so that of a page nothing else is kept; return its uid."""
        self.cache.put(resource, manifest)
        return {"uid": manifest["metadata"]["uid"]}

    async def _compare(self, resource: Resource) -> None:
        selector = self.kinds.selector(resource)
        for namespace in self.namespaces or (None,):
            uids: list[str] = []
            version = 0
            pages = self.client.pages(
                resource, namespace, label_selector=selector, metadata_only=True, keep=lambda found: found["metadata"]
            )
            async for page, version in pages:  # noqa: B007  the version of any page is that of the whole list
                uids += (metadata["uid"] for metadata in page)
            before = self.cache.count(resource)
            concerned = self.cache.prune(resource, namespace, uids, version)
            missed = before - self.cache.count(resource)
            if missed:
                logger.info("A list of %s revealed %d deletions that no watch reported.", resource.display_name, missed)
                self.metrics.missed_deletions_total.labels(resource.display_name).inc(missed)
            for key in concerned:
                self.enqueue(key)

    def _enqueue_everything(self) -> None:
        for key in self.cache.primary_keys():
            self.enqueue(key)
