"""Nodes that come and go: what keeps a drain from passing, and what ends it before builds are done. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.cli.checks.cluster_state import ClusterState, Unasked
from buildkit_operator.cli.checks.findings import CheckFinding, failed, ok, unknown, warning
from buildkit_operator.desired.metadata import labels, selector
from buildkit_operator.desired.workload import node_selector
from buildkit_operator.kube.manifests import controller_of
from buildkit_operator.kube.resources import Manifest

NETWORK_PAGE: Final = f"{names.DOCUMENTATION}/network/"

AUTOSCALER_SECONDS: Final = 600
"""What cluster-autoscaler gives pods without --max-graceful-termination-sec (cluster-autoscaler/config/flags)."""

_GRACE: Final = re.compile(r"--max-graceful-termination-sec[= ](\d+)")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(h|m|s)")
_SECONDS: Final = {"h": 3600, "m": 60, "s": 1}

SPOT: Final[Mapping[str, str]] = {
    "karpenter.sh/capacity-type": "spot",
    "eks.amazonaws.com/capacityType": "SPOT",
    "cloud.google.com/gke-spot": "true",
    "cloud.google.com/gke-preemptible": "true",
    "kubernetes.azure.com/scalesetpriority": "spot",
}
"""Labels of nodes that are taken away with a warning of 25 seconds to two minutes, by cloud."""


def drains(cluster: ClusterState) -> Iterator[CheckFinding]:
    """Look whether nodes can be drained of shared daemons, and whether builds have the time that they are promised."""
    shared = [builder for builder in cluster.readable_builders() if builder.role is Role.DAEMONS]
    if not shared:
        yield ok("No builder has daemons of its own that a node drain would stop.")
        return
    found = list(chain(_budgets(cluster, shared), _grace(cluster, shared), _spot(cluster, shared)))
    yield from found or [ok("Nothing is seen that would block a drain of daemons, or end one before builds are done.")]


def _budgets(cluster: ClusterState, shared: Sequence[BuildKitBuilder]) -> Iterator[CheckFinding]:
    for builder in shared:
        if builder.shared.disruption_budget.max_unavailable in ("0", "0%"):
            yield warning(
                f"BuildKitBuilder {_title(builder)} forbids drains of its nodes: maxUnavailable is 0.",
                "Set spec.shared.disruptionBudget.maxUnavailable to 1: each daemon waits for its builds all the same.",
                NETWORK_PAGE,
            )
    if isinstance(cluster.budgets, Unasked):
        yield unknown("Which PodDisruptionBudgets select daemons", cluster.budgets)
        return
    for builder, budget in ((builder, budget) for builder in shared for budget in cluster.budgets):
        yield from _budget(builder, budget)


def _budget(builder: BuildKitBuilder, budget: Manifest) -> Iterator[CheckFinding]:
    metadata = budget["metadata"]
    if metadata["namespace"] != builder.metadata.namespace:
        return
    where = f"PodDisruptionBudget {metadata['namespace']}/{metadata['name']}"
    owner = controller_of(budget)
    if owner is not None and owner["kind"] == names.KIND and owner["name"] == builder.metadata.name:
        if budget["spec"].get("unhealthyPodEvictionPolicy") != "AlwaysAllow":
            yield warning(
                f"{where} lets a daemon that does not come up block a drain: its unhealthyPodEvictionPolicy is not "
                "AlwaysAllow.",
                "Upgrade the operator, which sets it; until then delete the pods of such daemons before a drain.",
                NETWORK_PAGE,
            )
    elif _selects(budget["spec"].get("selector") or {}, builder):
        yield failed(
            f"{where} selects the daemons of BuildKitBuilder {_title(builder)}, which have one of their own: "
            "Kubernetes evicts no pod that two of them select, so no drain passes.",
            f"Have its selector leave out pods labelled {names.OWNER_LABEL}={builder.metadata.name}, or delete it.",
            NETWORK_PAGE,
        )


def _selects(wanted: Manifest, builder: BuildKitBuilder) -> bool:
    """Tell whether a selector takes a builder's daemons, as far as its labels alone tell."""
    common = {**builder.shared.pod.labels, **labels(builder)}
    return any(_takes(wanted, common | selector(builder, each)) for each in builder.shared.each_architecture)


def _takes(wanted: Manifest, has: Mapping[str, str]) -> bool:
    expressions = wanted.get("matchExpressions") or ()
    return all(has.get(key) == value for key, value in (wanted.get("matchLabels") or {}).items()) and all(
        _holds(expression, has) for expression in expressions
    )


def _holds(expression: Manifest, has: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return has.get(key) in values
        case "NotIn":
            return has.get(key) not in values
        case "Exists":
            return key in has
        case _:
            return key not in has


def _grace(cluster: ClusterState, shared: Sequence[BuildKitBuilder]) -> Iterator[CheckFinding]:
    longest = max(shared, key=lambda builder: builder.shared.drain_timeout_seconds)
    seconds = longest.shared.drain_timeout_seconds
    said = f"BuildKitBuilder {_title(longest)} lets builds end for {seconds} s (drainTimeoutSeconds)"
    if isinstance(cluster.autoscalers, Unasked):
        yield unknown("How long cluster-autoscaler waits for pods", cluster.autoscalers)
    else:
        for name, given in _autoscalers(cluster.autoscalers):
            if given < seconds:
                yield warning(
                    f"{said}, but {name} ends pods of a node that it removes after {given} s.",
                    f"Start it with --max-graceful-termination-sec={seconds + 60}, or keep it from nodes with daemons "
                    'by the annotation cluster-autoscaler.kubernetes.io/safe-to-evict: "false" in spec.shared.pod.',
                    NETWORK_PAGE,
                )
    if isinstance(cluster.node_pools, Unasked):
        yield unknown("How long Karpenter waits for pods", cluster.node_pools)
        return
    for pool in cluster.node_pools:
        grace = _duration(pool["spec"]["template"]["spec"].get("terminationGracePeriod"))
        if grace is not None and grace < seconds:
            yield warning(
                f"{said}, but Karpenter's NodePool {pool['metadata']['name']} removes a node after {grace:g} s.",
                f"Set its spec.template.spec.terminationGracePeriod to {seconds + 60}s or more, or keep daemons off "
                "its nodes by spec.shared.pod.nodeSelector.",
                NETWORK_PAGE,
            )


def _autoscalers(deployments: Sequence[Manifest]) -> Iterator[tuple[str, int]]:
    """Yield the cluster-autoscalers among some Deployments, with the seconds that they give pods to end."""
    for deployment in deployments:
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            words = " ".join([*(container.get("command") or ()), *(container.get("args") or ())])
            if "cluster-autoscaler" in words or container["name"] == "cluster-autoscaler":
                told = _GRACE.search(words)
                metadata = deployment["metadata"]
                name = f"Deployment {metadata['namespace']}/{metadata['name']}"
                yield name, int(told[1]) if told else AUTOSCALER_SECONDS


def _duration(text: object) -> float | None:
    """Return the seconds of a Go duration such as 1h30m; None where there is none."""
    parts = _DURATION.findall(str(text or ""))
    return sum(float(number) * _SECONDS[unit] for number, unit in parts) if parts else None


def _spot(cluster: ClusterState, shared: Sequence[BuildKitBuilder]) -> Iterator[CheckFinding]:
    """Find builders whose daemons may be on nodes that are taken away before a build is done."""
    if isinstance(cluster.nodes, Unasked):
        yield unknown("Whether daemons may be on spot nodes", cluster.nodes)
        return
    spot = [node for node in cluster.nodes if _is_spot(node)]
    for builder in shared:
        wanted = [node_selector(builder, architecture) for architecture in builder.shared.each_architecture]
        taken = [node for node in spot if any(chosen.items() <= _labels(node).items() for chosen in wanted)]
        if taken and builder.shared.pod.affinity is None:
            yield warning(
                f"Daemons of BuildKitBuilder {_title(builder)} may be on spot nodes, such as "
                f"{taken[0]['metadata']['name']}: such a node is gone two minutes after it is told, or sooner, and "
                "builds with it.",
                "Keep them off by spec.shared.pod.nodeSelector or affinity, or have pipelines try again.",
                NETWORK_PAGE,
            )


def _is_spot(node: Manifest) -> bool:
    return any(_labels(node).get(key) == value for key, value in SPOT.items())


def _labels(node: Manifest) -> Mapping[str, str]:
    found: Mapping[str, str] = node["metadata"].get("labels") or {}
    return found


def _title(builder: BuildKitBuilder) -> str:
    return f"{builder.metadata.namespace}/{builder.metadata.name}"
