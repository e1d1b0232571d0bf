"""Prometheus metrics of the webhook: requests by result, how long answers took, its certificate, readiness."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from buildkit_operator import __version__
from buildkit_operator.api.names import METRICS_PREFIX
from buildkit_operator.engine.metrics import CommonMetrics

ANSWER_SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)


class WebhookMetrics(CommonMetrics):
    """The webhook's metrics."""

    def __init__(self, webhooks: Iterable[str], results: Iterable[str], ready: Callable[[], bool]) -> None:
        """Register them, see CommonMetrics; `ready` tells whether the process can answer now."""
        super().__init__(METRICS_PREFIX, __version__)
        self.requests_total: Final = Counter(
            f"{METRICS_PREFIX}_webhook_requests_total",
            "Answers to the API server, by webhook and result; `error` is an HTTP status of 400 or more.",
            ("webhook", "result"),
            registry=self.registry,
        )
        self.request_duration_seconds: Final = Histogram(
            f"{METRICS_PREFIX}_webhook_request_duration_seconds",
            "How long answers took, from the whole request to the whole answer.",
            ("webhook",),
            buckets=ANSWER_SECONDS,
            registry=self.registry,
        )
        self.certificate_end: Final = Gauge(
            f"{METRICS_PREFIX}_webhook_certificate_not_after_timestamp_seconds",
            "When the certificate that is presented to the API server ends, in seconds since 1970.",
            registry=self.registry,
        )
        self.certificate_begin: Final = Gauge(
            f"{METRICS_PREFIX}_webhook_certificate_not_before_timestamp_seconds",
            "When that certificate began, in seconds since 1970.",
            registry=self.registry,
        )
        Gauge(
            f"{METRICS_PREFIX}_webhook_ready", "1 where this replica can answer the API server.", registry=self.registry
        ).set_function(ready)
        results = tuple(results)
        for webhook in webhooks:
            self.request_duration_seconds.labels(webhook)
            for result in results:
                self.requests_total.labels(webhook, result)
