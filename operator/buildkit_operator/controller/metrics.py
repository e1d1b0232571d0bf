"""Prometheus collector over the informer cache: builders by mode and readiness, stalled ones, ends of certificates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from buildkit_operator.api import names
from buildkit_operator.api.conditions import ConditionType
from buildkit_operator.engine.cache import Cache
from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import Manifest


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
        yield _certificates(builders)
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


def _certificates(builders: list[Manifest]) -> Metric:
    family = GaugeMetricFamily(
        f"{names.METRICS_PREFIX}_certificate_expiry_timestamp_seconds",
        "When a builder's server certificate ends, in seconds since 1970.",
        labels=("namespace", "builder"),
    )
    for builder in builders:
        end = builder.get("status", {}).get("certificateNotAfterTime")
        if end is not None:
            metadata = builder["metadata"]
            family.add_metric((metadata["namespace"], metadata["name"]), datetime.fromisoformat(end).timestamp())
    return family


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
