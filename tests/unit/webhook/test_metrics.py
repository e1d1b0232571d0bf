"""The webhook's metrics as Prometheus reads them."""

import re

from buildkit_operator import __version__
from buildkit_operator.webhook.metrics import WebhookMetrics


def text() -> str:
    return WebhookMetrics(["label"], ["refused"], lambda: True).render().decode()


def test_a_webhook_that_was_never_asked_says_so() -> None:
    assert 'buildkit_operator_webhook_requests_total{result="refused",webhook="label"} 0.0\n' in text()
    assert "buildkit_operator_webhook_ready 1.0\n" in text()
    assert "reconcile" not in text()


def test_the_version_is_told() -> None:
    assert f'buildkit_operator_build_info{{version="{__version__}"}} 1.0\n' in text()


def test_all_carry_our_prefix_or_are_the_process_own() -> None:
    helps = re.findall(r"^# HELP (\S+) (.+)$", text(), re.MULTILINE)

    assert len(helps) > 10
    assert all(name.startswith(("buildkit_operator_", "process_")) and said.endswith(".") for name, said in helps)
