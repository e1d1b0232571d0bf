"""Watches of all kinds, which kopf keeps alive: every event goes into the cache, and what is news into the queue.

Of kopf nothing else is used: its handlers for creation, update and deletion, its timers and its indices would write to
the objects, or take minutes to start with thousands of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.jitter import jittered
from buildkit_operator.engine.kinds import Kinds
from buildkit_operator.engine.kopf_import import kopf
from buildkit_operator.kube.auth import Connection
from buildkit_operator.kube.resources import Key, Resource

PAGE_SIZE: Final = 100
FIRST_BACKOFFS: Final = (0.5, 1.0, 2.0, 3.0)
LATER_BACKOFF: Final = 5.0

logger = logging.getLogger(__name__)


class Backoffs:
    """Seconds between a request's attempts, without an end: where kopf's patience ends, the operator does."""

    def __iter__(self) -> Iterator[float]:
        """Start with short ones; then about five seconds, never the same for two watches."""
        yield from FIRST_BACKOFFS
        while True:
            yield jittered(LATER_BACKOFF, 0.2)


class NoDifferences(kopf.DiffBaseStorage):
    """Spares kopf to copy and compare every object for change handlers that do not exist: a third of its time."""

    def build(self, **_: object) -> kopf.BodyEssence:
        """Find nothing worth comparing in an object."""
        return kopf.BodyEssence({})

    def fetch(self, **_: object) -> None:
        """Know no earlier state."""

    def store(self, **_: object) -> None:
        """Keep no state."""


@dataclass(frozen=True, slots=True)
class Watches:
    """The watches of all kinds."""

    connection: Connection
    kinds: Kinds
    namespaces: Sequence[str]
    """Namespaces to watch; empty for the whole cluster."""
    cache: Cache
    enqueue: Callable[[Key], None]
    relisted: Callable[[Resource], None]
    """Called for every object of a kind that kopf lists, instead of hearing about it from a running watch."""

    async def run(self, ready: asyncio.Event, stop: asyncio.Event, ending: asyncio.Event) -> None:
        """Watch until `stop`. Sets `ready` when kopf has put its signal handlers in place of ours.

        Sets `ending` when kopf begins to end. If nobody has asked for that it gave up, only a new process helps, and
        this may never return: its watchers can wait for ever for a session that it has closed.
        """

        async def note_the_end(**_: object) -> None:
            ending.set()

        registry = self._registry()
        kopf.on.cleanup(registry=registry)(note_the_end)
        await kopf.operator(
            registry=registry,
            settings=self._settings(),
            clusterwide=not self.namespaces,
            namespaces=list(self.namespaces),
            # Only for peering, which is off; but without one kopf looks up the user's name, and our image has none.
            identity="unused",  # type: ignore[arg-type]
            ready_flag=ready,
            stop_flag=stop,
        )

    def _settings(self) -> kopf.OperatorSettings:
        settings = kopf.OperatorSettings()
        settings.peering.standalone = True
        settings.posting.enabled = False
        settings.scanning.disabled = True  # the kinds exist before we start; needs no rights on CRDs and namespaces
        settings.networking.error_backoffs = Backoffs()
        settings.networking.connect_timeout = 10
        settings.networking.request_timeout = 60
        settings.watching.chunk_size = PAGE_SIZE
        settings.watching.server_timeout = 290
        settings.watching.inactivity_timeout = 70  # bookmarks come every minute
        settings.watching.reconnect_backoff = 0.5
        for resource in self.kinds.children:
            kind = (resource.group, resource.version, resource.plural)
            settings.watching.label_selectors[kind] = self.kinds.child_selector
        settings.persistence.diffbase_storage = NoDifferences()
        settings.queueing.idle_timeout = 0.1
        settings.execution.max_workers = 2  # threads, for handlers that are not async; we have none
        settings.process.ultimate_exiting_timeout = None  # it would kill a process that drains
        return settings

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._log_in)
        for resource in self.kinds.all:
            handler = self._handler(resource)
            kopf.on.event(resource.group, resource.version, resource.plural, id=resource.plural, registry=registry)(
                handler
            )
        return registry

    async def _log_in(self, **_: object) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(
            server=self.connection.server, aiohttp_session=self.connection.session(watching=True)
        )

    def _handler(self, resource: Resource) -> Callable[..., Any]:
        async def take_in(event: dict[str, Any], **_: object) -> None:
            manifest = event["object"]
            if event["type"] == "DELETED":
                concerned = self.cache.remove(resource, manifest)
            else:
                concerned = self.cache.put(resource, manifest)
            for key in concerned:
                self.enqueue(key)
            if event["type"] is None:
                self.relisted(resource)

        return take_in
