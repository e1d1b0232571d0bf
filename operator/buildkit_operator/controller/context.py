"""What a reconcile is given to work with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.events import Recorder
from buildkit_operator.engine.kinds import Key
from buildkit_operator.engine.metrics import Metrics
from buildkit_operator.kube.client import Client
from buildkit_operator.settings import Settings

__all__ = ["Context", "Key", "MakeReconcile", "Reconcile"]


@dataclass(frozen=True, slots=True)
class Context:
    """The engine's parts that deciding and writing need."""

    client: Client
    """Writes only while this replica leads, and puts what the server answers into the cache."""
    cache: Cache
    recorder: Recorder
    settings: Settings
    metrics: Metrics


Reconcile: TypeAlias = Callable[[Key], Awaitable[float | None]]
"""Brings one builder closer to what it should be.

Gives the seconds after which it wants to be called again, or None. What it raises is tried again with a backoff.
"""

MakeReconcile: TypeAlias = Callable[[Context], Reconcile]
