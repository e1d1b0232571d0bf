"""Prometheus collector of builders and daemons: made from the last readings at each scrape; nothing is stale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from buildkit_operator.api.names import METRICS_PREFIX
from buildkit_operator.exporter.scrapers import Scrapers

BUILDER_LABELS: Final = ("namespace", "builder")
DAEMON_LABELS: Final = (*BUILDER_LABELS, "pod")


class BuilderCollector(Collector):
    """The metrics of all builders and daemons."""

    def __init__(self, scrapers: Scrapers) -> None:
        """Collect what `scrapers` has read."""
        self._scrapers = scrapers

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield them by name; a daemon that does not answer is in the first alone."""
        yield from self._of_daemons()
        yield from self._of_builders()

    def _of_daemons(self) -> Iterator[GaugeMetricFamily]:
        up = _gauge("up", "1 where the daemon answers.", DAEMON_LABELS)
        active = _gauge("active_builds", "Builds that the daemon runs now.", DAEMON_LABELS)
        workers = _gauge("workers", "Workers of the daemon.", DAEMON_LABELS)
        used = _gauge("cache_bytes", "Size of the daemon's build cache.", DAEMON_LABELS)
        reclaimable = _gauge("cache_reclaimable_bytes", "Build cache that no build is using now.", DAEMON_LABELS)
        for pod, reading in self._scrapers.readings():
            labels = (pod.namespace, pod.builder, pod.name)
            up.add_metric(labels, reading.up)
            if reading.activity is not None:
                active.add_metric(labels, reading.activity.active_builds)
                workers.add_metric(labels, reading.activity.workers)
            if reading.disk_usage is not None:
                used.add_metric(labels, reading.disk_usage.used)
                reclaimable.add_metric(labels, reading.disk_usage.reclaimable)
        yield from (up, active, workers, used, reclaimable)

    def _of_builders(self) -> Iterator[GaugeMetricFamily]:
        wanted = _gauge("spec_replicas", "Daemons that the builder should have.", BUILDER_LABELS)
        runners = _gauge("runner_pods", "Runner pods with the builder that have not ended.", BUILDER_LABELS)
        ready = _gauge("runner_pods_ready", "Those of them whose sidecar is up.", BUILDER_LABELS)
        for builder in self._scrapers.builders():
            labels = (builder.namespace, builder.name)
            if builder.wanted is not None:
                wanted.add_metric(labels, builder.wanted)
            runners.add_metric(labels, builder.runners)
            ready.add_metric(labels, builder.runners_ready)
        yield from (wanted, runners, ready)


def _gauge(name: str, documentation: str, labels: tuple[str, ...]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{METRICS_PREFIX}_builder_{name}", documentation, labels=labels)
