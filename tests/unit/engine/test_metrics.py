"""Metrics as Prometheus reads them."""

import re

import pytest

from buildkit_operator import __version__
from buildkit_operator.engine.metrics import CONTROLLER, CommonMetrics, Metrics, WebhookMetrics


def test_what_never_happened_is_zero() -> None:
    text = Metrics().render().decode()

    for result in ("success", "requeue_after", "error"):
        assert f'buildkit_operator_reconcile_total{{controller="{CONTROLLER}",result="{result}"}} 0.0\n' in text
    assert f'buildkit_operator_reconcile_errors_total{{controller="{CONTROLLER}"}} 0.0\n' in text


def test_the_version_is_told() -> None:
    assert f'buildkit_operator_build_info{{version="{__version__}"}} 1.0\n' in Metrics().render().decode()


def test_answers_are_counted_by_method_and_code() -> None:
    metrics = Metrics()

    metrics.api_request("PATCH", 200)
    metrics.api_request("PATCH", 200)
    metrics.api_request("PATCH", 409)

    text = metrics.render().decode()
    assert 'buildkit_operator_api_requests_total{code="200",verb="PATCH"} 2.0\n' in text
    assert 'buildkit_operator_api_requests_total{code="409",verb="PATCH"} 1.0\n' in text


def test_a_webhook_that_was_never_asked_says_so() -> None:
    text = WebhookMetrics(["label"], ["refused"], lambda: True).render().decode()

    assert 'buildkit_operator_webhook_requests_total{result="refused",webhook="label"} 0.0\n' in text
    assert "buildkit_operator_webhook_ready 1.0\n" in text
    assert "reconcile" not in text


@pytest.mark.parametrize("metrics", [Metrics(), WebhookMetrics(["label"], ["refused"], lambda: True)])
def test_all_carry_our_prefix_or_are_the_process_own(metrics: CommonMetrics) -> None:
    helps = re.findall(r"^# HELP (\S+) (.+)$", metrics.render().decode(), re.MULTILINE)

    assert len(helps) > 10
    assert all(name.startswith(("buildkit_operator_", "process_")) and text.endswith(".") for name, text in helps)
