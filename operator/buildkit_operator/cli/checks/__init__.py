"""The doctor's checks: from what was seen of a cluster to findings. Pure; `cli.look` does the asking."""

from __future__ import annotations

from typing import Final

from buildkit_operator.cli.checks import engine, installation, namespaces, nodes, pods, readiness
from buildkit_operator.cli.checks.cluster import Cluster
from buildkit_operator.cli.checks.findings import Check, Report, with_builders

CHECKS: Final[dict[str, Check]] = {
    "ServerVersion": installation.server_version,
    "Definition": installation.definition,
    "Operator": installation.operator,
    "Leader": installation.leader,
    "Engine": engine.engine,
    "Builders": with_builders("Whether builders are ready", readiness.readiness),
    "Certificates": with_builders("When the certificates of builders end", readiness.certificates),
    "PodSecurity": with_builders("Whether namespaces admit the daemons of builders", namespaces.pod_security),
    "UserNamespaces": with_builders("Whether builders need nodes with user namespaces", nodes.user_namespaces),
    "OptIn": with_builders("Whether builders pick pods", namespaces.opt_in),
    "UninjectedPods": with_builders("Whether pods run without the builder that they ask for", pods.uninjected),
    "UnknownBuilders": with_builders("Whether pods name builders that are not there", pods.unheard_of),
    "RefusedPods": pods.refused,
}
"""By the names that programs know them by, in the order in which one would look."""


def examine(cluster: Cluster) -> list[Report]:
    """Return what every check finds."""
    return [Report(name, tuple(check(cluster))) for name, check in CHECKS.items()]
