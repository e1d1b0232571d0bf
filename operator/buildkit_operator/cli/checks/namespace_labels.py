"""Namespace labels: whether Pod Security admits the daemons of builders, and whether namespaces opted in. No I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from buildkit_operator.admission.matching import ENABLED
from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.api.reasons import Reason
from buildkit_operator.cli.checks.cluster_state import ClusterState, Unasked
from buildkit_operator.cli.checks.findings import CheckFinding, failed, ok, or_ok, unknown, warning
from buildkit_operator.desired.isolation import PodSecurity
from buildkit_operator.status.diagnosis.daemons import diagnose_namespace


def pod_security(cluster: ClusterState) -> Iterator[CheckFinding]:
    """Look whether the namespaces of builders admit their daemons."""
    by_namespace: dict[str, list[BuildKitBuilder]] = defaultdict(list)
    for builder in cluster.readable_builders():
        if builder.role is not Role.CONSUMER:  # it has no daemons here
            by_namespace[builder.metadata.namespace].append(builder)
    for namespace in sorted(name for name, labels in cluster.labels.items() if labels is None):
        yield failed(f"There is no namespace {namespace}.", "Create it, or look at another one.")
    for namespace, builders in sorted(by_namespace.items()):
        labels = cluster.labels.get(namespace) or {}
        if isinstance(labels, Unasked):
            yield unknown(f"The Pod Security level of namespace {namespace}", labels)
        else:
            yield from _admits(PodSecurity.of(labels, cluster.server_minor), builders)
    if not by_namespace:
        yield ok("There is no builder that a namespace would have to admit daemons of.")


def _admits(enforced: PodSecurity, builders: list[BuildKitBuilder]) -> Iterator[CheckFinding]:
    refused = [(builder, found) for builder in builders if (found := diagnose_namespace(builder, enforced))]
    for builder, found in refused:
        yield failed(
            f"BuildKitBuilder {builder.metadata.namespace}/{builder.metadata.name}: {found.message}",
            "",
            names.reason_page(Reason.POD_SECURITY_DENIED),
        )
    if not refused:
        whose = f"the daemons of its {len(builders)} builders" if len(builders) > 1 else "the daemons of its builder"
        yield ok(f"Namespace {builders[0].metadata.namespace} enforces level {enforced.level}, which admits {whose}.")


def opt_in(cluster: ClusterState) -> Iterator[CheckFinding]:
    """Look whether builders that pick pods may, and whether namespaces that let them have such a builder."""
    picking = {b.metadata.namespace for b in cluster.readable_builders() if b.injection.pod_selector is not None}
    yield from or_ok(
        _opt_in(cluster, picking),
        "Builders pick pods in the namespaces that opted in, and in no other."
        if picking
        else "No builder picks pods by spec.injection.podSelector, and no namespace expects it.",
    )


def _opt_in(cluster: ClusterState, picking: set[str]) -> Iterator[CheckFinding]:
    for namespace in sorted(picking | set(cluster.labels)):
        labels = cluster.labels.get(namespace) or {}
        if isinstance(labels, Unasked):
            if namespace in picking:
                yield unknown(f"Whether namespace {namespace} lets its builders pick pods", labels)
            continue
        opted_in = labels.get(names.INJECTION_LABEL) == ENABLED
        if namespace in picking and not opted_in:
            yield warning(
                f"A builder of namespace {namespace} has spec.injection.podSelector, but the namespace has not opted "
                "in: it picks no pod.",
                f"kubectl label --overwrite namespace {namespace} {names.INJECTION_LABEL}={ENABLED}",
            )
        elif namespace not in picking and opted_in:
            yield warning(
                f"Namespace {namespace} is labelled {names.INJECTION_LABEL}={ENABLED}, but none of its builders has "
                "spec.injection.podSelector: no pod is picked.",
                f"Give one a podSelector, or: kubectl label namespace {namespace} {names.INJECTION_LABEL}-",
            )
