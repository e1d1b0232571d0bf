"""Which daemons are asked: a conversation with each that is ready, begun and ended as the API server tells of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

from pydantic import ValidationError

from buildkit_operator.engine.cache import Cache
from buildkit_operator.exporter.scraper import Conversation, Reading
from buildkit_operator.exporter.targets import KINDS, DaemonPod, KnownBuilder, known_builder
from buildkit_operator.kube.resources import POD, Key

logger = logging.getLogger(__name__)

SILENT = Reading()
"""Of a daemon that is not asked."""


class Poller:
    """All builders that are known, and the conversations with their daemons."""

    def __init__(self, cache: Cache, converse: Callable[[DaemonPod], Conversation]) -> None:
        """Know what stands in `cache`, of each builder from when `changed` was called for it."""
        self._cache = cache
        self._converse = converse
        self._known: dict[Key, KnownBuilder] = {}
        self._conversations: dict[DaemonPod, tuple[Conversation, asyncio.Task[None]]] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Ask for ever. Ends with an error that nobody foresaw."""
        async with asyncio.TaskGroup() as self._group:
            for builder in self._known.values():
                self._begin(builder)
            await asyncio.Event().wait()

    def changed(self, key: Key) -> None:
        """Take note that a builder or one of its pods is new, changed or gone."""
        before = self._known.pop(key, None)
        now = self._look(key)
        if now is not None:
            self._known[key] = now
        staying = () if now is None else now.pods
        for pod in () if before is None else before.pods:
            if pod not in staying and pod in self._conversations:
                self._conversations.pop(pod)[1].cancel()
        if now is not None:
            self._begin(now)

    def builders(self) -> list[KnownBuilder]:
        """Return the builders by namespace and name."""
        return [self._known[key] for key in sorted(self._known)]

    def readings(self) -> Iterator[tuple[DaemonPod, Reading]]:
        """Yield every daemon's pod with what it answered last."""
        for builder in self.builders():
            for pod in builder.pods:
                yield pod, self._conversations[pod][0].reading if pod in self._conversations else SILENT

    def _look(self, key: Key) -> KnownBuilder | None:
        manifest = self._cache.get(KINDS.primary, *key)
        if manifest is None:
            return None
        try:
            return known_builder(manifest, self._cache.children(key, POD))
        except ValidationError as error:
            logger.warning("Builder %s/%s cannot be read: %s", *key, error)
            return None

    def _begin(self, builder: KnownBuilder) -> None:
        if self._group is None:
            return
        for pod in builder.pods:
            if pod.address is not None and pod not in self._conversations:
                conversation = self._converse(pod)
                task = self._group.create_task(conversation.run(), name=f"{pod.namespace}/{pod.name}")
                self._conversations[pod] = conversation, task
