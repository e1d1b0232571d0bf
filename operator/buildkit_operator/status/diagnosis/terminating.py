"""Diagnosis of daemons' pods that do not go: their nodes do not answer, or somebody's finalizer holds them. No I/O.

Where each daemon has a PVC, no other pod takes the place of one before that has gone for good.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from buildkit_operator.api.reasons import Reason
from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status.diagnosis.daemons import Finding, daemon_status

OVERDUE: Final = timedelta(seconds=30)
"""How long a pod may still be there after its containers ended, or its grace period did: volumes are unmounted."""


def findings(pods: Iterable[Manifest], now: datetime) -> Iterator[Finding]:
    """Yield what holds pods that should have gone by now, or that nobody hears of."""
    for pod in pods:
        if is_lost(pod):
            yield _lost(pod)
        elif (due := _due(pod)) is not None and now >= due:
            yield _stuck(pod)


def until_overdue(pods: Iterable[Manifest], now: datetime) -> float | None:
    """Return the seconds until the next pod should have gone, None where none is to go."""
    times = [(due - now).total_seconds() for pod in pods if (due := _due(pod)) is not None]
    return min((seconds for seconds in times if seconds > 0), default=None)


def is_lost(pod: Manifest) -> bool:
    """Tell whether a pod's node has stopped answering.

    Then the node controller writes that the pod is not ready (MarkPodsNotReady), and nothing else of what the kubelet
    wrote last; a kubelet writes both conditions. Only readiness gates make them differ otherwise.
    """
    if pod.get("spec", {}).get("readinessGates"):
        return False
    return (condition(pod, "Ready").get("status"), condition(pod, "ContainersReady").get("status")) == ("False", "True")


def _due(pod: Manifest) -> datetime | None:
    deleted = pod["metadata"].get("deletionTimestamp")
    if deleted is None:
        return None
    ended = daemon_status(pod).get("state", {}).get("terminated") or {}
    # A pod's deletionTimestamp is when its grace period ends.
    return datetime.fromisoformat(ended.get("finishedAt") or deleted) + OVERDUE


def _where(pod: Manifest) -> tuple[str, str, str]:
    metadata = pod["metadata"]
    return metadata["name"], metadata["namespace"], pod.get("spec", {}).get("nodeName") or "unknown"


def _lost(pod: Manifest) -> Finding:
    name, _, node = _where(pod)
    return Finding(
        Reason.NODE_LOST,
        f"Node {node} does not answer, so nobody knows how daemon {name} on it is doing; a daemon with a PVC is not "
        f"replaced before its pod has gone. Repair the node. If it is off for good: kubectl delete node {node}; if it "
        f"is off and comes back: kubectl taint node {node} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute",
    )


def _stuck(pod: Manifest) -> Finding:
    name, namespace, node = _where(pod)
    held = pod["metadata"].get("finalizers") or []
    if held:
        release = (
            f'kubectl patch pod {name} -n {namespace} --type=merge --patch=\'{{"metadata":{{"finalizers":null}}}}\''
        )
        return Finding(
            Reason.TERMINATION_STUCK,
            f"Pod {name} on node {node} was deleted and does not go: finalizer {', '.join(held)} holds it. See that "
            f"whoever set it removes it; if nobody will: {release}",
        )
    return Finding(
        Reason.TERMINATION_STUCK,
        f"Pod {name} was deleted and does not go: node {node} has not said that its containers ended and its volumes "
        f"are unmounted. Why: kubectl describe -n {namespace} pod/{name}; kubectl describe node/{node}. If the node is "
        f"certainly off: kubectl delete pod {name} -n {namespace} --force",
    )
