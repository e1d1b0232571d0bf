"""Which engine injects, and whether it can."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from buildkit_operator.api.reasons import INSTALL_ENGINE, Reason, row
from buildkit_operator.cli.checks.cluster_state import WebhookState
from buildkit_operator.cli.checks.findings import CheckResult
from buildkit_operator.controller.injection_probe import admitted
from buildkit_operator.kube.resources import Manifest
from tests.unit.cli.cluster_states import (
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
from tests.unit.make import changed, make_builder

TOP = Path(__file__).parents[3]

POLICIES = installed_policies()
WEBHOOK = WebhookState(installed_webhook(), endpoints("ready", "ready"))
BLIND = {"policies": FORBIDDEN, "webhook": WebhookState(FORBIDDEN)}


def without(kind: str, name: str) -> list[Manifest]:
    return [policy for policy in POLICIES if (policy["kind"], policy["metadata"]["name"]) != (kind, name)]


def with_first(path: str, value: Any) -> list[Manifest]:
    """Return the policies, of which the first, for pods with the label, has another value somewhere."""
    return [changed(POLICIES[0], path, value), *POLICIES[1:]]


def released(release: str) -> list[Manifest]:
    """Return the policies as a chart's release has them, under its name and for some namespaces."""
    text = json.dumps(POLICIES).replace('"buildkit-operator-', f'"{release}-').replace("kube-system", "elsewhere")
    policies: list[Manifest] = json.loads(text)
    return policies


@pytest.mark.parametrize(
    ("facts", "expected", "said"),
    [
        ({"policies": POLICIES}, CheckResult.OK, "buildkit-operator-* are installed with their bindings"),
        ({"policies": with_first("spec.default", 1)}, CheckResult.OK, "are installed with their bindings"),
        ({"policies": released("ci-builders")}, CheckResult.OK, "ci-builders-* are installed with their bindings"),
        ({"policies": [*POLICIES, *released("b")[1:]]}, CheckResult.FAILED, "MutatingAdmissionPolicy b-label"),
        (
            {"policies": [POLICIES[0], changed(POLICIES[1], "spec.policyName", "other"), *POLICIES[2:]]},
            CheckResult.WARNING,
            "changed: MutatingAdmissionPolicyBinding buildkit-operator-label",
        ),
        (
            {"policies": [changed(POLICIES[0], "metadata.name", "buildkit-operator-own")]},
            CheckResult.FAILED,
            "No engine is installed",
        ),
        ({"webhook": WEBHOOK}, CheckResult.OK, "2 endpoints"),
        ({}, CheckResult.FAILED, INSTALL_ENGINE),
        ({"policies": POLICIES, "webhook": WEBHOOK}, CheckResult.WARNING, "Both engines"),
        (
            {"policies": without("MutatingAdmissionPolicyBinding", "buildkit-operator-label")},
            CheckResult.FAILED,
            "not all there: MutatingAdmissionPolicyBinding buildkit-operator-label",
        ),
        (
            {"policies": with_first("spec.failurePolicy", "Ignore")},
            CheckResult.WARNING,
            "changed: MutatingAdmissionPolicy buildkit-operator-label",
        ),
        (
            {"webhook": WebhookState(installed_webhook(bundle=""), endpoints("ready"))},
            CheckResult.FAILED,
            "no caBundle for label.buildkit-operator.dev, selector",
        ),
        (
            {"webhook": WebhookState(installed_webhook(), endpoints("starting"))},
            CheckResult.FAILED,
            "no endpoint that is ready",
        ),
        ({"webhook": WebhookState(installed_webhook(), [])}, CheckResult.FAILED, "no endpoint that is ready"),
        ({"webhook": WebhookState(installed_webhook(), FORBIDDEN)}, CheckResult.UNKNOWN, "Whether the webhook answers"),
        (
            {"policies": POLICIES, "webhook": WebhookState(FORBIDDEN)},
            CheckResult.UNKNOWN,
            "Whether the webhook is installed",
        ),
        ({"policies": FORBIDDEN, "webhook": WEBHOOK}, CheckResult.UNKNOWN, "Whether the admission policies"),
        (BLIND, CheckResult.UNKNOWN, FORBIDDEN.sentence),
        ({**BLIND, "builders": [live()]}, CheckResult.UNKNOWN, "Which engine injects"),
        ({**BLIND, "builders": [live(mode="Sidecar")]}, CheckResult.OK, "by trying one for ci/demo"),
        (
            {**BLIND, "builders": [live(mode="Sidecar", status=ready("False", "InjectionNotServed"))]},
            CheckResult.FAILED,
            "found for ci/demo",
        ),
    ],
)
def test_one_engine_should_inject(facts: dict[str, Any], expected: CheckResult, said: str) -> None:
    assert result("Engine", cluster(**facts)) is expected
    assert said in messages("Engine", cluster(**facts))


def test_condition_page_and_doctor_say_the_same_of_how_to_install_an_engine() -> None:
    builder = make_builder(mode="Sidecar")
    probe = admitted(builder, {}, {"metadata": {"name": "probe"}, "spec": {"containers": []}})
    text = " ".join((TOP / "docs/reasons/InjectionNotServed.md").read_text().split())
    shown, _, remedy = text.partition("## Likely causes")

    assert probe.finding is not None
    assert INSTALL_ENGINE in probe.finding.message
    assert INSTALL_ENGINE in shown
    assert INSTALL_ENGINE in remedy
    assert INSTALL_ENGINE in row(Reason.INJECTION_NOT_SERVED).remedy
    assert all(INSTALL_ENGINE in messages("Engine", cluster(minor)) for minor in (35, 36))


def test_what_installs_an_engine_is_there_for_users_of_helm_and_of_kustomize() -> None:
    schema = json.loads((TOP / "deploy/helm/buildkit-operator/values.schema.json").read_text())

    assert "injection.engine=Auto" in INSTALL_ENGINE
    assert "Auto" in schema["properties"]["injection"]["properties"]["engine"]["enum"]
    for overlay, component in (("deploy/kustomize/overlays/policies", "policies"), ("overlays/webhook", "webhook")):
        assert overlay in INSTALL_ENGINE
        file = TOP / "deploy/kustomize/overlays" / component / "kustomization.yaml"
        assert f"../../components/{component}" in yaml.safe_load(file.read_text())["components"]
