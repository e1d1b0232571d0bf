"""What a reconcile is given to work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.events import EventRecorder
from buildkit_operator.engine.kinds import Reconcile
from buildkit_operator.engine.metrics import ControllerMetrics
from buildkit_operator.kube.client import Client
from buildkit_operator.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """The engine's parts that deciding and writing need."""

    client: Client
    """Writes only while this replica leads, and puts what the server answers into the cache."""
    cache: Cache
    recorder: EventRecorder
    settings: Settings
    metrics: ControllerMetrics


MakeReconcile: TypeAlias = Callable[[Context], Reconcile]
