"""Metrics as Prometheus reads them."""

import re

from buildkit_operator.engine.metrics import ControllerMetrics


def make() -> ControllerMetrics:
    return ControllerMetrics("engine", "1.2.3", "widgets")


def test_what_never_happened_is_zero() -> None:
    text = make().render().decode()

    for result in ("success", "requeue_after", "error"):
        assert f'engine_reconcile_total{{controller="widgets",result="{result}"}} 0.0\n' in text
    assert 'engine_reconcile_errors_total{controller="widgets"} 0.0\n' in text


def test_the_version_is_told() -> None:
    assert 'engine_build_info{version="1.2.3"} 1.0\n' in make().render().decode()


def test_answers_are_counted_by_method_and_code() -> None:
    metrics = make()

    metrics.api_request("PATCH", 200)
    metrics.api_request("PATCH", 200)
    metrics.api_request("PATCH", 409)

    text = metrics.render().decode()
    assert 'engine_api_requests_total{code="200",verb="PATCH"} 2.0\n' in text
    assert 'engine_api_requests_total{code="409",verb="PATCH"} 1.0\n' in text


def test_all_carry_the_prefix_or_are_the_process_own() -> None:
    helps = re.findall(r"^# HELP (\S+) (.+)$", make().render().decode(), re.MULTILINE)

    assert len(helps) > 10
    assert all(name.startswith(("engine_", "process_")) and text.endswith(".") for name, text in helps)
