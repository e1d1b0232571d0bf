"""The MutatingWebhookConfiguration: how the API server calls the webhook, for Kubernetes before 1.36."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from buildkit_operator.admission import matching
from buildkit_operator.admission.matching import Matching
from buildkit_operator.admission.review import WebhookName
from buildkit_operator.api import generated, names
from buildkit_operator.kube.resources import Manifest

_SOURCE: Final = "operator/buildkit_operator/admission"
_HEAD: Final = """\
# The webhook itself fills in each clientConfig.caBundle and clientConfig.service.path, which is secret, and keeps them
# right. Delete this object first to uninstall it: without the webhook behind it, pods that ask for a builder are
# refused. Mirror pods only show what a kubelet runs already, from a file of its own: nothing can be added any more.
# What other webhooks add later are their own helpers, no jobs, so none is asked about a second time.
"""


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
    """Return the configuration."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {
            "name": names.WEBHOOK,
            "labels": {"app.kubernetes.io/name": names.OPERATOR, "app.kubernetes.io/component": "webhook"},
        },
        "webhooks": [_webhook(name, webhook) for name, webhook in _WEBHOOKS.items()],
    }


def render() -> str:
    """Return it as YAML, with the reason of each webhook, the same bytes each time."""
    text = generated.dump([manifest()])
    for name, webhook in _WEBHOOKS.items():
        first_line = f"- name: {_name(name)}\n"
        text = text.replace(first_line, f"# {webhook.reason}\n{first_line}")
    return f"{generated.head(_SOURCE)}{_HEAD}{text}"


def _webhook(name: WebhookName, webhook: _Webhook) -> Manifest:
    match = webhook.matching
    service = {"namespace": names.OPERATOR, "name": names.WEBHOOK, "port": 443}
    conditions = match.match_conditions()
    return {
        "name": _name(name),
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


def _name(name: WebhookName) -> str:
    return f"{name}.{names.GROUP}"
