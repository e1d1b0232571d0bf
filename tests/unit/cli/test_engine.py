"""Which engine injects, and whether it can."""

from typing import Any

import pytest

from buildkit_operator.cli.checks.cluster import Webhook
from buildkit_operator.cli.checks.findings import Result
from tests.unit.cli.facts import (
    FORBIDDEN,
    cluster,
    endpoints,
    installed_policies,
    installed_webhook,
    live,
    messages,
    ready,
    result,
)

POLICIES = installed_policies()
WEBHOOK = Webhook(installed_webhook(), endpoints("ready", "ready"))
BLIND = {"policies": FORBIDDEN, "webhook": Webhook(FORBIDDEN)}


def without(name: str) -> dict[Any, Any]:
    return {key: manifest for key, manifest in POLICIES.items() if key != ("MutatingAdmissionPolicyBinding", name)}


def changed() -> dict[Any, Any]:
    key = ("MutatingAdmissionPolicy", "buildkit-operator-label")
    return POLICIES | {key: {**POLICIES[key], "spec": {**POLICIES[key]["spec"], "failurePolicy": "Ignore"}}}


def defaulted() -> dict[Any, Any]:
    return {key: manifest | {"spec": {**manifest["spec"], "default": 1}} for key, manifest in POLICIES.items()}


@pytest.mark.parametrize(
    ("facts", "expected", "said"),
    [
        ({"policies": POLICIES}, Result.OK, "are installed with their bindings"),
        ({"policies": defaulted()}, Result.OK, "are installed with their bindings"),
        ({"webhook": WEBHOOK}, Result.OK, "2 endpoints"),
        ({}, Result.FAILED, "buildkit_operator policies | kubectl apply"),
        ({"policies": POLICIES, "webhook": WEBHOOK}, Result.WARNING, "Both engines"),
        (
            {"policies": without("buildkit-operator-label")},
            Result.FAILED,
            "not all there: MutatingAdmissionPolicyBinding buildkit-operator-label",
        ),
        ({"policies": changed()}, Result.WARNING, "changed: MutatingAdmissionPolicy buildkit-operator-label"),
        (
            {"webhook": Webhook(installed_webhook(bundle=""), endpoints("ready"))},
            Result.FAILED,
            "no caBundle for label.buildkit-operator.dev, selector",
        ),
        ({"webhook": Webhook(installed_webhook(), endpoints("starting"))}, Result.FAILED, "no endpoint that is ready"),
        ({"webhook": Webhook(installed_webhook(), [])}, Result.FAILED, "no endpoint that is ready"),
        ({"webhook": Webhook(installed_webhook(), FORBIDDEN)}, Result.UNKNOWN, "Whether the webhook answers"),
        ({"policies": POLICIES, "webhook": Webhook(FORBIDDEN)}, Result.UNKNOWN, "Whether the webhook is installed"),
        ({"policies": FORBIDDEN, "webhook": WEBHOOK}, Result.UNKNOWN, "Whether the admission policies"),
        (BLIND, Result.UNKNOWN, FORBIDDEN.sentence),
        ({**BLIND, "builders": [live()]}, Result.UNKNOWN, "Which engine injects"),
        ({**BLIND, "builders": [live(mode="Sidecar")]}, Result.OK, "by trying one for ci/demo"),
        (
            {**BLIND, "builders": [live(mode="Sidecar", status=ready("False", "InjectionNotServed"))]},
            Result.FAILED,
            "found for ci/demo",
        ),
    ],
)
def test_one_engine_should_inject(facts: dict[str, Any], expected: Result, said: str) -> None:
    assert result("Engine", cluster(**facts)) is expected
    assert said in messages("Engine", cluster(**facts))


def test_before_1_36_the_webhook_is_what_to_install() -> None:
    assert "overlays/webhook" in messages("Engine", cluster(35))
    assert "overlays/webhook" not in messages("Engine", cluster(36))
