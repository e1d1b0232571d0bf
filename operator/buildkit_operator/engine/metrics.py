"""Every metric of our processes; the operator's are named as controller-runtime names its own: dashboards transfer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from buildkit_operator import __version__

PREFIX: Final = "buildkit_operator"
CONTROLLER: Final = "buildkitbuilder"
"""Value of the `controller` label."""

ANSWER_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class CommonMetrics:
    """What every process measures, in a registry of its own."""

    def __init__(self) -> None:
        """Register them all; those with a fixed set of labels start at zero, so that rates see their first increase."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.missed_deletions_total: Final = Counter(
            f"{PREFIX}_missed_deletions_total",
            "Deletions that only a list revealed, by resource.",
            ("resource",),
            registry=self.registry,
        )
        self.api_requests_total: Final = Counter(
            f"{PREFIX}_api_requests_total",
            "Answers of the API server, by HTTP method and status code.",
            ("verb", "code"),
            registry=self.registry,
        )
        build_info = Gauge(
            f"{PREFIX}_build_info", "1, with the version that runs.", ("version",), registry=self.registry
        )
        build_info.labels(__version__).set(1)

    def api_request(self, verb: str, code: int) -> None:
        """Count one answer of the API server."""
        self.api_requests_total.labels(verb, str(code)).inc()

    def render(self) -> bytes:
        """Give all metrics in the text format."""
        return generate_latest(self.registry)


class Metrics(CommonMetrics):
    """The operator's metrics."""

    def __init__(self) -> None:
        """Register them, see CommonMetrics."""
        super().__init__()
        controller = ("controller",)
        self.reconcile_total: Final = Counter(
            f"{PREFIX}_reconcile_total",
            "Reconciles by result: success, requeue_after (it asked to be called again), or error.",
            ("controller", "result"),
            registry=self.registry,
        )
        self.reconcile_errors_total: Final = Counter(
            f"{PREFIX}_reconcile_errors_total",
            "Reconciles that failed and are tried again.",
            controller,
            registry=self.registry,
        )
        self.reconcile_time_seconds: Final = Histogram(
            f"{PREFIX}_reconcile_time_seconds",
            "How long reconciles took.",
            controller,
            buckets=SECONDS,
            registry=self.registry,
        )
        self.active_workers: Final = Gauge(
            f"{PREFIX}_active_workers", "Reconciles that run now.", controller, registry=self.registry
        )
        self.queue_depth: Final = Gauge(
            f"{PREFIX}_queue_depth", "Builders that wait to be reconciled.", controller, registry=self.registry
        )
        self.leading: Final = Gauge(
            f"{PREFIX}_leading", "1 where this replica is the one that writes.", registry=self.registry
        )
        for result in ("success", "requeue_after", "error"):
            self.reconcile_total.labels(CONTROLLER, result)
        for metric in (self.reconcile_errors_total, self.reconcile_time_seconds, self.active_workers, self.queue_depth):
            metric.labels(CONTROLLER)


class WebhookMetrics(CommonMetrics):
    """The webhook's metrics."""

    def __init__(self, webhooks: Iterable[str], results: Iterable[str], ready: Callable[[], bool]) -> None:
        """Register them, see CommonMetrics; `ready` tells whether the process can answer now."""
        super().__init__()
        self.requests_total: Final = Counter(
            f"{PREFIX}_webhook_requests_total",
            "Answers to the API server, by webhook and result; `error` is an HTTP status of 400 or more.",
            ("webhook", "result"),
            registry=self.registry,
        )
        self.request_duration_seconds: Final = Histogram(
            f"{PREFIX}_webhook_request_duration_seconds",
            "How long answers took, from the whole request to the whole answer.",
            ("webhook",),
            buckets=ANSWER_SECONDS,
            registry=self.registry,
        )
        self.certificate_end: Final = Gauge(
            f"{PREFIX}_webhook_certificate_not_after_timestamp_seconds",
            "When the certificate that is presented to the API server ends, in seconds since 1970.",
            registry=self.registry,
        )
        Gauge(
            f"{PREFIX}_webhook_ready", "1 where this replica can answer the API server.", registry=self.registry
        ).set_function(ready)
        results = tuple(results)
        for webhook in webhooks:
            self.request_duration_seconds.labels(webhook)
            for result in results:
                self.requests_total.labels(webhook, result)
