"""Injection engine: which one is installed, the admission policies or the webhook, and whether it works. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias

from buildkit_operator import __version__
from buildkit_operator.admission import policies
from buildkit_operator.api.builder import Mode
from buildkit_operator.api.reasons import INSTALL_ENGINE, Reason, row
from buildkit_operator.cli.checks.cluster_state import ClusterState, Unasked, WebhookState
from buildkit_operator.cli.checks.findings import CheckFinding, failed, ok, unknown, warning
from buildkit_operator.cli.checks.installation import INSTALL_PAGE, deployment_of
from buildkit_operator.kube.diff import is_within
from buildkit_operator.kube.resources import Manifest

_AS_INSTALLED: Final = f"Apply those of this version ({__version__}), as you installed them. {INSTALL_ENGINE}"
_REMOVE_WEBHOOK: Final = "kubectl delete mutatingwebhookconfiguration {name}"


def engine(cluster: ClusterState) -> Iterator[CheckFinding]:
    """Look which engine is installed: one should be."""
    webhook = cluster.webhook
    if isinstance(cluster.policies, Unasked) and isinstance(webhook.configuration, Unasked):
        yield _by_what_the_operator_found(cluster, cluster.policies)
        return
    if isinstance(cluster.policies, Unasked):
        yield unknown("Whether the admission policies are installed", cluster.policies)
        yield from _webhook(cluster, webhook)
        return
    releases = _releases(cluster.policies)
    for release, parts in sorted(releases.items()):
        yield from _policies(release, parts)
    yield from _webhook(cluster, webhook)
    if releases and isinstance(webhook.configuration, dict):
        name = webhook.configuration["metadata"]["name"]
        yield warning(
            "Both engines are installed. Pods are served once all the same, but each of them costs twice.",
            f"Keep the policies: {_REMOVE_WEBHOOK.format(name=name)}",
        )
    elif not releases and webhook.configuration is None:
        yield failed("No engine is installed: pods that ask for a builder get nothing.", INSTALL_ENGINE, INSTALL_PAGE)


def _by_what_the_operator_found(cluster: ClusterState, why: Unasked) -> CheckFinding:
    """Judge by what the operator found when it tried a pod: its own rights are those of no engine, either."""
    sidecars = [builder for builder in cluster.summaries() if builder.mode == Mode.SIDECAR]
    refused = [builder.title for builder in sidecars if builder.reason == Reason.INJECTION_NOT_SERVED]
    if refused:
        said = f"Pods that ask for a builder get nothing, as the operator found for {refused[0]}."
        return failed(said, row(Reason.INJECTION_NOT_SERVED).remedy)
    served = [builder.title for builder in sidecars if builder.ready == "True" and builder.is_current]
    if served:
        return ok(f"Pods get the builder they ask for, as the operator found by trying one for {served[0]}.")
    return unknown("Which engine injects", why)


_Parts: TypeAlias = Mapping[tuple[str, str], Manifest]
"""Policies and bindings by their kind and by what they are for."""


def _releases(found: Sequence[Manifest]) -> Mapping[str, _Parts]:
    """Return the policies by the installation that they belong to: there may be one for each of several namespaces."""
    wanted = _wanted()
    installed: dict[str, dict[tuple[str, str], Manifest]] = defaultdict(dict)
    for live in found:
        release, part = _parted(live)
        if (live["kind"], part) in wanted:
            installed[release][live["kind"], part] = live
    return installed


def _wanted() -> _Parts:
    return {(manifest["kind"], _parted(manifest)[1]): manifest for manifest in policies.manifests()}


def _policies(release: str, parts: _Parts) -> Iterator[CheckFinding]:
    wanted = _wanted()
    missing = [f"{kind} {release}-{part}" for kind, part in wanted if (kind, part) not in parts]
    different = [
        f"{kind} {release}-{part}" for (kind, part), live in parts.items() if not _is(wanted[kind, part], live)
    ]
    if missing:
        yield failed(f"The admission policies are not all there: {', '.join(missing)}.", _AS_INSTALLED)
    if different:
        yield warning(
            f"The admission policies are of another version, or were changed: {', '.join(different)}.",
            _AS_INSTALLED,
        )
    if not missing and not different:
        yield ok(f"The admission policies {release}-* are installed with their bindings, and are of this version.")


def _parted(manifest: Manifest) -> tuple[str, str]:
    """Return the name of the installation, which is the chart's release, and which policy of it this is."""
    release, _, part = manifest["metadata"]["name"].rpartition("-")
    return release, part


def _is(wanted: Manifest, live: Manifest) -> bool:
    """Tell whether a policy is as we have it; for which namespaces it is, and its name, whoever installs it decides."""
    spec = dict(wanted["spec"])
    if "matchConstraints" in spec:
        spec["matchConstraints"] = {k: v for k, v in spec["matchConstraints"].items() if k != "namespaceSelector"}
    if "policyName" in spec:
        spec["policyName"] = live["metadata"]["name"]
    return is_within(spec, live["spec"])


def _webhook(cluster: ClusterState, webhook: WebhookState) -> Iterator[CheckFinding]:
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
        where = f"-n {cluster.operator_namespace} {deployment_of(cluster, 'webhook')}"
        yield failed(
            "The webhook has no endpoint that is ready: pods that name a builder are refused.",
            f"See why its pods are not: kubectl describe {where}",
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
