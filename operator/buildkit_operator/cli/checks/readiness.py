"""Readiness of builders, expiry of their certificates, and which go without TLS. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import Role
from buildkit_operator.api.conditions import ConditionType
from buildkit_operator.api.reasons import Reason, row
from buildkit_operator.api.shared import TLSMode
from buildkit_operator.cli.checks.cluster_state import ClusterState, Unasked, readable
from buildkit_operator.cli.checks.findings import CheckFinding, failed, ok, or_ok, unknown, warning
from buildkit_operator.cli.checks.installation import deployment_of
from buildkit_operator.cli.summary import BuilderSummary
from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.pki.keypairs import Lifetimes, parse

OVERDUE: Final = 1 / 6
"""Of a certificate's life, what is left when its renewal is overdue: it should have come with a third left."""


def readiness(cluster: ClusterState) -> Iterator[CheckFinding]:
    """Look whether the builders are ready."""
    summaries = cluster.summaries()
    not_well = [builder for builder in summaries if not builder.is_well]
    yield from map(_not_well, not_well)
    well = len(summaries) - len(not_well)
    if not summaries:
        yield ok("There is no builder.")
    elif well:
        on_purpose = sum(row(builder.reason).is_intentional for builder in summaries if builder.is_well)
        idle = f", {on_purpose} of them suspended or scaled to zero on purpose" if on_purpose else ""
        yield ok(f"{well} of {len(summaries)} builders are well{idle}.")
    yield from _insecure(cluster)


def _not_well(builder: BuilderSummary) -> CheckFinding:
    said = f"BuildKitBuilder {builder.title}: {builder.reason + ': ' if builder.reason else ''}{builder.message}"
    waits = not builder.is_current or row(builder.reason).waiting_helps
    return (warning if waits else failed)(said, builder.remedy, builder.page)


def _insecure(cluster: ClusterState) -> Iterator[CheckFinding]:
    for builder in cluster.live_builders():
        said = condition(builder, ConditionType.INSECURE)
        if said:
            where = f"{builder['metadata']['namespace']}/{builder['metadata']['name']}"
            page = names.reason_page(Reason.TLS_DISABLED)
            yield warning(f"BuildKitBuilder {where}: {said['message']}", row(Reason.TLS_DISABLED).remedy, page)


def certificates(cluster: ClusterState) -> Iterator[CheckFinding]:
    """Look whether certificates are renewed in time: those of builders, and the webhook's."""
    ends = [(builder, datetime.fromisoformat(end)) for builder in cluster.live_builders() if (end := _end(builder))]
    first = min((end for _, end in ends), default=None)
    text = "No builder has a certificate."
    if first is not None:
        whose = "one builder" if len(ends) == 1 else f"{len(ends)} builders"
        text = f"The certificates of {whose} are renewed in time; the first ends at {first:%Y-%m-%d %H:%M} UTC."
    yield from or_ok(
        (found for builder, end in ends if (found := _certificate(builder, end, cluster.now))),
        text,
    )
    yield from _of_webhook(cluster)


def _end(builder: Manifest) -> str | None:
    end: str | None = (builder.get("status") or {}).get("certificateNotAfterTime")
    return end


def _certificate(builder: Manifest, end: datetime, now: datetime) -> CheckFinding | None:
    where = f"{builder['metadata']['namespace']}/{builder['metadata']['name']}"
    if end <= now:
        return failed(
            f"The certificate of BuildKitBuilder {where} ended at {end:%Y-%m-%d %H:%M} UTC: nobody can connect.",
            _remedy(builder),
        )
    life = _life(builder)
    if life is not None and end - now < life * OVERDUE:
        return warning(
            f"The certificate of BuildKitBuilder {where} ends at {end:%Y-%m-%d %H:%M} UTC, and its renewal is overdue.",
            _remedy(builder),
        )
    return None


def _life(builder: Manifest) -> timedelta | None:
    """Return how long a builder's certificates live, where the operator decides that."""
    read = readable(builder)
    if read is None:
        return None
    match read.role:
        case Role.SIDECAR:
            return None
        case Role.DAEMONS:
            return Lifetimes().leaf if read.shared.tls.mode is TLSMode.SELF_SIGNED else None
        case Role.CONSUMER:
            return Lifetimes().granted


def _remedy(builder: Manifest) -> str:
    namespace = builder["metadata"]["namespace"]
    if ((builder["spec"].get("shared") or {}).get("tls") or {}).get("mode") == TLSMode.CERT_MANAGER:
        return f"See what cert-manager says: kubectl describe certificate -n {namespace}"
    return "The operator renews it: see the checks Operator and Leader, and whether spec.suspend is true."


def _of_webhook(cluster: ClusterState) -> Iterator[CheckFinding]:
    webhook = cluster.webhook
    if isinstance(webhook.configuration, Unasked) or webhook.configuration is None:
        return
    if isinstance(webhook.certificate, Unasked):
        yield unknown("When the webhook's certificate ends", webhook.certificate)
        return
    certificate = parse(webhook.certificate)
    where = f"-n {cluster.operator_namespace} {deployment_of(cluster, 'webhook')}"
    remedy = f"See what the webhook says: kubectl logs {where}"
    if certificate is None:
        yield failed("The webhook has no certificate, or none that can be read: pods are refused.", remedy)
        return
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    said = f"The webhook's certificate ends at {end:%Y-%m-%d %H:%M} UTC"
    if end <= cluster.now:
        yield failed(f"{said}, which is over: pods that name a builder are refused.", remedy)
    elif end - cluster.now < (end - begin) * OVERDUE:
        yield warning(f"{said}, and its renewal is overdue.", remedy)
    else:
        yield ok(f"{said}.")
