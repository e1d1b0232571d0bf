"""Which engine injects into pods: the API server's own policies, or the webhook; and whether it can. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from buildkit_operator.admission import policies
from buildkit_operator.api.builder import Mode
from buildkit_operator.api.conditions import Reason
from buildkit_operator.api.remedies import REMEDIES
from buildkit_operator.cli.checks.cluster import Answer, Cluster, Unasked, Webhook
from buildkit_operator.cli.checks.findings import Finding, failed, ok, unknown, warning
from buildkit_operator.cli.checks.installation import POLICIES_MINOR
from buildkit_operator.control.diff import is_within

Manifest = dict[str, Any]

APPLY_POLICIES: Final = "python -m buildkit_operator policies | kubectl apply --server-side -f -"
APPLY_WEBHOOK: Final = "kubectl apply --server-side -k deploy/kustomize/overlays/webhook"
_REMOVE_WEBHOOK: Final = "kubectl delete mutatingwebhookconfiguration {name}"


def engine(cluster: Cluster) -> Iterator[Finding]:
    """Look which engine is installed: one should be."""
    found, webhook = cluster.policies, cluster.webhook
    if isinstance(found, Unasked) and isinstance(webhook.configuration, Unasked):
        yield _by_the_operators_trials(cluster, found)
        return
    yield from _policies(found)
    yield from _webhook(webhook)
    if isinstance(found, Unasked) or isinstance(webhook.configuration, Unasked):
        return
    if found and webhook.configuration:
        name = webhook.configuration["metadata"]["name"]
        yield warning(
            "Both engines are installed. Pods are served once all the same, but each of them costs twice.",
            f"Keep the policies: {_REMOVE_WEBHOOK.format(name=name)}",
        )
    elif not found and not webhook.configuration:
        apply = APPLY_POLICIES if cluster.server_minor >= POLICIES_MINOR else APPLY_WEBHOOK
        yield failed("No engine is installed: pods that ask for a builder get nothing.", f"Install one: {apply}")


def _by_the_operators_trials(cluster: Cluster, why: Unasked) -> Finding:
    """Judge by what the operator found when it tried a pod: its own rights are those of no engine, either."""
    sidecars = [builder for builder in cluster.seen_builders() if builder.mode == Mode.SIDECAR]
    refused = [builder.title for builder in sidecars if builder.reason == Reason.INJECTION_NOT_SERVED]
    if refused:
        said = f"Pods that ask for a builder get nothing, as the operator found for {refused[0]}."
        return failed(said, REMEDIES[Reason.INJECTION_NOT_SERVED])
    served = [builder.title for builder in sidecars if builder.ready == "True" and builder.is_current]
    if served:
        return ok(f"Pods get the builder they ask for, as the operator found by trying one for {served[0]}.")
    return unknown("Which engine injects", why)


def _policies(found: Answer[Mapping[tuple[str, str], Manifest]]) -> Iterator[Finding]:
    if isinstance(found, Unasked):
        yield unknown("Whether the admission policies are installed", found)
        return
    if not found:
        return
    wanted = {(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in policies.manifests()}
    missing = [f"{kind} {name}" for kind, name in wanted if (kind, name) not in found]
    different = [f"{kind} {name}" for (kind, name), live in found.items() if not _is_ours(wanted[kind, name], live)]
    if missing:
        yield failed(
            f"The admission policies are not all there: {', '.join(missing)}.", f"Apply them: {APPLY_POLICIES}"
        )
    if different:
        yield warning(
            f"The admission policies are of another version, or were changed: {', '.join(different)}.",
            f"Apply those of this version: {APPLY_POLICIES}",
        )
    if not missing and not different:
        yield ok("The admission policies are installed with their bindings, and are those of this version.")


def _is_ours(wanted: Manifest, live: Manifest) -> bool:
    return is_within(wanted["spec"], live["spec"])


def _webhook(webhook: Webhook) -> Iterator[Finding]:
    live = webhook.configuration
    if isinstance(live, Unasked):
        yield unknown("Whether the webhook is installed", live)
        return
    if live is None:
        return
    name = live["metadata"]["name"]
    untrusted = [hook["name"] for hook in live.get("webhooks") or () if not hook["clientConfig"].get("caBundle")]
    if untrusted:
        yield failed(
            f"MutatingWebhookConfiguration {name} has no caBundle for {', '.join(untrusted)}: "
            "the API server cannot ask there, and pods that name a builder are refused.",
            "The webhook fills it in as soon as it runs. If something resets it, as a GitOps tool does with a manifest "
            "that has the field, take the field out of that.",
        )
    if isinstance(webhook.endpoints, Unasked):
        yield unknown("Whether the webhook answers", webhook.endpoints)
        return
    count = sum(_ready_endpoints(piece) for piece in webhook.endpoints)
    if count == 0:
        yield failed(
            "The webhook has no endpoint that is ready: pods that name a builder are refused.",
            "See why its pods are not: kubectl get pods -A -l app.kubernetes.io/name=buildkit-operator-webhook",
        )
    elif not untrusted:
        endpoints = "endpoint" if count == 1 else "endpoints"
        yield ok(f"The webhook is installed, trusted by the API server, and has {count} {endpoints}.")


def _ready_endpoints(piece: Manifest) -> int:
    """Count them in one EndpointSlice; one that says nothing of itself counts as ready, as the API has it."""
    return sum(
        len(endpoint.get("addresses") or ())
        for endpoint in piece.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready", True)
    )
