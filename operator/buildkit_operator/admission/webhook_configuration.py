"""The MutatingWebhookConfiguration: how the API server calls the webhook, for Kubernetes before 1.36."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from buildkit_operator.admission import matching
from buildkit_operator.admission.matching import Matching
from buildkit_operator.admission.review import WebhookName
from buildkit_operator.api import names
from buildkit_operator.kube.resources import Manifest


@dataclass(frozen=True)
class _Webhook:
    matching: Matching
    timeout_seconds: int
    reason: str
    """What it is for, as a comment."""


_WEBHOOKS: Final = {
    WebhookName.LABEL: _Webhook(
        matching.NAMED, 5, "Pods that name their builder. It fails closed: they cannot do without."
    ),
    WebhookName.SELECTOR: _Webhook(
        matching.PICKED, 2, "Pods that builders pick by spec.injection.podSelector. It fails open: they never asked."
    ),
    WebhookName.RESTORE: _Webhook(
        matching.INJECTED,
        2,
        "What clients with old types drop from injected pods. It fails open: most updates drop nothing.",
    ),
}


def manifest() -> Manifest:
    """Return the configuration. The webhook itself fills in each clientConfig.caBundle, and keeps it right."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {
            "name": names.WEBHOOK,
            "labels": {"app.kubernetes.io/name": names.OPERATOR, "app.kubernetes.io/component": "webhook"},
        },
        "webhooks": [_webhook(endpoint, webhook) for endpoint, webhook in _WEBHOOKS.items()],
    }


def comments() -> dict[str, str]:
    """Return what is said of each webhook, by its name."""
    return {_name(endpoint): webhook.reason for endpoint, webhook in _WEBHOOKS.items()}


def _webhook(endpoint: WebhookName, webhook: _Webhook) -> Manifest:
    match = webhook.matching
    service = {"namespace": names.OPERATOR, "name": names.WEBHOOK, "path": f"/{endpoint}", "port": 443}
    conditions = match.match_conditions()
    return {
        "name": _name(endpoint),
        "clientConfig": {"service": service},
        "rules": [match.rule()],
        **match.selectors(),
        **({"matchConditions": conditions} if conditions else {}),
        "matchPolicy": "Equivalent",
        "failurePolicy": match.failure_policy,
        "reinvocationPolicy": matching.REINVOCATION_POLICY,
        "sideEffects": "None",
        "timeoutSeconds": webhook.timeout_seconds,
        "admissionReviewVersions": ["v1"],
    }


def _name(endpoint: WebhookName) -> str:
    return f"{endpoint}.{names.GROUP}"
