"""Constraints of namespaces: what refused the pods that the operator tried, and quotas without room. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.cli.checks.cluster_state import ClusterState, Unasked
from buildkit_operator.cli.checks.findings import CheckFinding, or_ok, unknown, warning
from buildkit_operator.kube import quantity
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status.diagnosis.refused_pods import CONSTRAINTS_PAGE, UNTRIED

_LIMITS: Final = "limits."
_REQUESTS: Final = "requests."


def probed_pods(cluster: ClusterState) -> Iterator[CheckFinding]:
    """Look whether the operator could try a runner pod; where what is added is refused, the builder is not ready."""
    yield from or_ok(
        (
            warning(
                f"BuildKitBuilder {builder.title}: {builder.message}",
                "See whether what refused that pod would refuse runner pods, too, which may have labels or resources "
                "of their own.",
                CONSTRAINTS_PAGE,
            )
            for builder in cluster.summaries()
            if builder.ready == "True" and any(sign in builder.message for sign in UNTRIED)
        ),
        "No builder tells of a pod that could not be tried.",
    )


def quotas(cluster: ClusterState) -> Iterator[CheckFinding]:
    """Look whether quotas have room for one more runner pod's part of each builder."""
    if isinstance(cluster.quotas, Unasked):
        yield unknown("Whether quotas have room for runner pods", cluster.quotas)
        return
    yield from or_ok(_full(cluster, cluster.quotas), "Quotas of the builders' namespaces have room for runner pods.")


def _full(cluster: ClusterState, found: Sequence[Manifest]) -> Iterator[CheckFinding]:
    for builder in cluster.live_builders():
        metadata = builder["metadata"]
        added = ((builder.get("status") or {}).get("injection") or {}).get("initContainers") or ()
        for quota in found:
            if quota["metadata"]["namespace"] != metadata["namespace"]:
                continue
            full = [name for container in added for name in _lacking(quota, container)]
            if full:
                yield warning(
                    f"ResourceQuota {metadata['namespace']}/{quota['metadata']['name']} has no room for another runner "
                    f"pod of builder {metadata['name']}: {', '.join(full)}.",
                    "Have it raised, let fewer jobs run at once, or ask for less in spec.resources, for connectors "
                    "spec.injection.connector.resources.",
                    names.reason_page("PodsRefused"),
                )


def _lacking(quota: Manifest, container: Manifest) -> Iterator[str]:
    """Yield of what a quota has less left than a container wants, and how much it is."""
    status = quota.get("status") or {}
    hard, used = status.get("hard") or {}, status.get("used") or {}
    for name, most in hard.items():
        left = quantity.value(str(most)) - quantity.value(str(used.get(name, "0")))
        if left < _wanted(name, container):
            yield f"{name} is used to {used.get(name)} of {most}"


def _wanted(name: str, container: Manifest) -> Decimal:
    """Return how much a container counts towards what a quota counts by this name; a pod has one of it."""
    if name in ("pods", "count/pods"):
        return Decimal(1)
    resources = container.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    if name.startswith(_LIMITS):
        return quantity.value(str(limits.get(name.removeprefix(_LIMITS), "0")))
    resource = name.removeprefix(_REQUESTS)
    # Kubernetes takes a limit for the request where there is none.
    return quantity.value(str(requests.get(resource, limits.get(resource, "0"))))
