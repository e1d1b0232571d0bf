"""Event handler of the watches: each event goes into the informer cache, and the keys it is news to into the queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.kinds import Kinds, Listed
from buildkit_operator.engine.kopf_adapter import KopfWatches
from buildkit_operator.kube.auth import Connection
from buildkit_operator.kube.resources import Key, Manifest, Resource


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
    """Called for every object of a kind that was listed again, instead of heard about from a running watch."""
    listed: Listed = field(default_factory=dict)
    """Lists that are in the cache already: from these the watches go on."""

    async def run(self, stop: asyncio.Event, ending: asyncio.Event, handle_signals: Callable[[], None]) -> None:
        """Watch until `stop`, see KopfWatches.run."""
        take_in, is_known = self.take_in, self.cache.knows
        watches = KopfWatches(self.connection, self.kinds, self.namespaces, take_in, is_known, self.listed)
        await watches.run(stop, ending, handle_signals)

    def take_in(self, resource: Resource, event_type: str | None, manifest: Manifest) -> None:
        """Update the cache by one event, whose type is None for an object of a list, and enqueue what it is news to."""
        concerned = (
            self.cache.remove(resource, manifest) if event_type == "DELETED" else self.cache.put(resource, manifest)
        )
        for key in concerned:
            self.enqueue(key)
        if event_type is None:
            self.relisted(resource)
