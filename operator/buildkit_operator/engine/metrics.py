"""Prometheus metrics of a process and of a controller, named as controller-runtime names its own: dashboards fit."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class CommonMetrics:
    """What every process measures, in a registry of its own."""

    def __init__(self, prefix: str, version: str) -> None:
        """Register them all; those with a fixed set of labels start at zero, so that rates see their first increase.

        Every name begins with `prefix`, and `version` is the program's.
        """
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.missed_deletions_total: Final = Counter(
            f"{prefix}_missed_deletions_total",
            "Deletions that only a list revealed, by resource.",
            ("resource",),
            registry=self.registry,
        )
        self.unreadable_objects_total: Final = Counter(
            f"{prefix}_unreadable_objects_total",
            "Objects of which something was left out, as it was too large, too deep or out of range, by resource.",
            ("resource",),
            registry=self.registry,
        )
        self.api_requests_total: Final = Counter(
            f"{prefix}_api_requests_total",
            "Answers of the API server, by HTTP method and status code.",
            ("verb", "code"),
            registry=self.registry,
        )
        self.clock_skew_seconds: Final = Gauge(
            f"{prefix}_clock_skew_seconds",
            "By how much the clock of the process's node is ahead of the API server's; negative where it is behind.",
            registry=self.registry,
        )
        build_info = Gauge(
            f"{prefix}_build_info", "1, with the version that runs.", ("version",), registry=self.registry
        )
        build_info.labels(version).set(1)

    def api_request(self, verb: str, code: int) -> None:
        """Count one answer of the API server."""
        self.api_requests_total.labels(verb, str(code)).inc()

    def unreadable_object(self, resource: str) -> None:
        """Count an object that cannot be read whole."""
        self.unreadable_objects_total.labels(resource).inc()

    def render(self) -> bytes:
        """Return all metrics in the text format."""
        return generate_latest(self.registry)


class ControllerMetrics(CommonMetrics):
    """The metrics of a process with one controller."""

    def __init__(self, prefix: str, version: str, controller: str) -> None:
        """Register them, see CommonMetrics; `controller` is the value of the label of that name."""
        super().__init__(prefix, version)
        self.controller: Final = controller
        labels = ("controller",)
        self.reconcile_total: Final = Counter(
            f"{prefix}_reconcile_total",
            "Reconciles by result: success, requeue_after (it asked to be called again), or error.",
            ("controller", "result"),
            registry=self.registry,
        )
        self.reconcile_errors_total: Final = Counter(
            f"{prefix}_reconcile_errors_total",
            "Reconciles that failed and are tried again.",
            labels,
            registry=self.registry,
        )
        self.reconcile_time_seconds: Final = Histogram(
            f"{prefix}_reconcile_time_seconds",
            "How long reconciles took.",
            labels,
            buckets=SECONDS,
            registry=self.registry,
        )
        self.active_workers: Final = Gauge(
            f"{prefix}_active_workers", "Reconciles that run now.", labels, registry=self.registry
        )
        self.queue_depth: Final = Gauge(
            f"{prefix}_queue_depth", "Objects that wait to be reconciled.", labels, registry=self.registry
        )
        self.leading: Final = Gauge(f"{prefix}_leading", "1 where this replica is the leader.", registry=self.registry)
        for result in ("success", "requeue_after", "error"):
            self.reconcile_total.labels(controller, result)
        for metric in (self.reconcile_errors_total, self.reconcile_time_seconds, self.active_workers, self.queue_depth):
            metric.labels(controller)
