"""The doctor's checks: from a snapshot of a cluster to findings. Pure; `cli.snapshot` does the reading."""

from __future__ import annotations

from typing import Final

from buildkit_operator.cli.checks import (
    bounding_policies,
    constraints,
    drains,
    injection_engine,
    installation,
    namespace_labels,
    nodes,
    pod_injection,
    readiness,
)
from buildkit_operator.cli.checks.cluster_state import ClusterState
from buildkit_operator.cli.checks.findings import Check, CheckReport, with_builders

CHECKS: Final[dict[str, Check]] = {
    "ServerVersion": installation.server_version,
    "Definition": installation.definition,
    "Operator": installation.operator,
    "Leader": installation.leader,
    "PodCreation": bounding_policies.dry_runs,
    "DaemonLabels": bounding_policies.reserved_labels,
    "Engine": injection_engine.engine,
    "Builders": with_builders("Whether builders are ready", readiness.readiness),
    "ProbedPods": with_builders("Whether pods of builders could be tried", constraints.probed_pods),
    "Quotas": with_builders("Whether quotas have room for runner pods", constraints.quotas),
    "Certificates": with_builders("When the certificates of builders end", readiness.certificates),
    "PodSecurity": with_builders("Whether namespaces admit the daemons of builders", namespace_labels.pod_security),
    "UserNamespaces": with_builders("Whether builders need nodes with user namespaces", nodes.user_namespaces),
    "Drains": with_builders("Whether nodes can be drained of daemons", drains.drains),
    "OptIn": with_builders("Whether builders pick pods", namespace_labels.opt_in),
    "UninjectedPods": with_builders("Whether pods run without the builder that they ask for", pod_injection.uninjected),
    "UnknownBuilders": with_builders("Whether pods name builders that are not there", pod_injection.unheard_of),
    "RefusedPods": pod_injection.refused,
}
"""By the names that programs know them by, in the order in which one would look."""


def examine(cluster: ClusterState) -> list[CheckReport]:
    """Return what every check finds."""
    return [CheckReport(name, tuple(check(cluster))) for name, check in CHECKS.items()]
