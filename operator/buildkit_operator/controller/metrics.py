"""Prometheus collector over the informer cache: builders by readiness, their certificates, daemons and runner pods."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final, TypeAlias

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from buildkit_operator.api import names
from buildkit_operator.api.builder import Mode
from buildkit_operator.api.conditions import ConditionType
from buildkit_operator.api.shared import Shared, count_workloads
from buildkit_operator.controller.watched import provider_of
from buildkit_operator.engine.cache import Cache
from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import Manifest

Read: TypeAlias = Callable[[Manifest], float | None]
"""Reads a number off a builder, None where there is nothing to tell."""

DEFAULT_REPLICAS: Final[int] = Shared.model_fields["replicas"].default
"""Of a builder without spec.shared, which the API server gives no defaults."""


class BuilderStateCollector(Collector):
    """Metrics that are a view of the cache, so that none is left over of a builder that is gone."""

    def __init__(self, cache: Cache, installation: str = "") -> None:
        """Read `cache` at each scrape; `installation` is this one."""
        self._cache = cache
        self._installation = installation

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics as they are now."""
        builders = [b for key in self._cache.primary_keys() if (b := self._cache.get(names.BUILDER, *key))]
        yield _by_state(builders)
        yield _stalled(builders)
        yield from (_of_each(name, documentation, builders, read) for name, documentation, read in _OF_EACH)
        yield _others(builders, self._installation)


def _by_state(builders: list[Manifest]) -> Metric:
    family = GaugeMetricFamily(
        f"{names.METRICS_PREFIX}_builders",
        "Builders by mode and by whether they are ready (True, False, or Unknown before the first reconcile).",
        labels=("mode", "ready"),
    )
    for labels, count in sorted(Counter((str(b["spec"].get("mode")), _ready(b)) for b in builders).items()):
        family.add_metric(labels, count)
    return family


def _stalled(builders: list[Manifest]) -> Metric:
    family = GaugeMetricFamily(
        f"{names.METRICS_PREFIX}_builder_stalled",
        "1 for a builder that gets no better until somebody changes something, with the reason; others have none.",
        labels=("namespace", "builder", "reason"),
    )
    for builder in builders:
        stalled = condition(builder, ConditionType.STALLED)
        if stalled.get("status") == "True":
            metadata = builder["metadata"]
            family.add_metric((metadata["namespace"], metadata["name"], stalled["reason"]), 1)
    return family


def _of_each(name: str, documentation: str, builders: list[Manifest], read: Read) -> Metric:
    """Return a metric with a series for each builder of which there is something to tell."""
    family = GaugeMetricFamily(f"{names.METRICS_PREFIX}_{name}", documentation, labels=("namespace", "builder"))
    for builder in builders:
        value = read(builder)
        if value is not None:
            family.add_metric((builder["metadata"]["namespace"], builder["metadata"]["name"]), value)
    return family


def _certificate_begins(builder: Manifest) -> float | None:
    return _seconds(builder, "certificateNotBeforeTime")


def _certificate_ends(builder: Manifest) -> float | None:
    return _seconds(builder, "certificateNotAfterTime")


def _seconds(builder: Manifest, field: str) -> float | None:
    time = _status(builder).get(field)
    return None if time is None else datetime.fromisoformat(time).timestamp()


def _wanted_daemons(builder: Manifest) -> float | None:
    """Return how many daemons a builder should have, None where it has none of its own."""
    if builder["spec"].get("mode") != Mode.SHARED or provider_of(builder) is not None:
        return None
    shared = builder["spec"].get("shared") or {}
    return int(shared.get("replicas", DEFAULT_REPLICAS)) * count_workloads(shared)


def _ready_daemons(builder: Manifest) -> float | None:
    return None if _wanted_daemons(builder) is None else int(_status(builder).get("readyReplicas", 0))


def _runner_pods(builder: Manifest) -> float:
    return int((_status(builder).get("pods") or {}).get("injected", 0))


def _ready_runner_pods(builder: Manifest) -> float:
    return int((_status(builder).get("pods") or {}).get("ready", 0))


def _status(builder: Manifest) -> Manifest:
    status: Manifest = builder.get("status") or {}
    return status


_OF_EACH: Final[tuple[tuple[str, str, Read], ...]] = (
    (
        "certificate_expiry_timestamp_seconds",
        "When a builder's certificate ends, in seconds since 1970: that of its daemons, or else of its client.",
        _certificate_ends,
    ),
    (
        "certificate_not_before_timestamp_seconds",
        "When that certificate began, in seconds since 1970.",
        _certificate_begins,
    ),
    ("builder_spec_replicas", "Daemons that the builder should have.", _wanted_daemons),
    ("builder_ready_replicas", "Daemons of the builder that answer.", _ready_daemons),
    ("builder_runner_pods", "Runner pods with the builder that have not ended.", _runner_pods),
    ("builder_runner_pods_ready", "Those of them whose sidecar is up.", _ready_runner_pods),
)
"""The name of each metric that is told of single builders, what it means, and how it is read."""


def _others(builders: list[Manifest], own: str) -> Metric:
    family = GaugeMetricFamily(
        f"{names.METRICS_PREFIX}_builders_of_others",
        "Builders that this installation serves and leaves to another one, which is in charge of them.",
        labels=("installation",),
    )
    managers = (builder.get("status", {}).get("managedBy") for builder in builders)
    for other, count in sorted(Counter(manager for manager in managers if manager and manager != own).items()):
        family.add_metric((other,), count)
    return family


def _ready(builder: Manifest) -> str:
    return str(condition(builder, ConditionType.READY).get("status", "Unknown"))
