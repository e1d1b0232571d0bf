"""Node versions: which nodes can run pods in a user namespace, as isolation UserNamespace needs it. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from buildkit_operator.api import versions
from buildkit_operator.api.builder import Isolation, Role
from buildkit_operator.api.versions import Version
from buildkit_operator.cli.checks.cluster_state import ClusterState, Unasked
from buildkit_operator.cli.checks.findings import CheckFinding, failed, ok, unknown, warning
from buildkit_operator.kube.resources import Manifest

RUNTIMES: Final = {"containerd": versions.CONTAINERD, "cri-o": versions.CRI_O}
"""Container runtimes that can, from which version on."""

_REMEDY: Final = (
    "Upgrade these nodes, keep builds off them (spec.shared.pod.nodeSelector, or the nodeSelector of runner pods), or "
    "set isolation to Rootless."
)
_NAMED: Final = 5


def user_namespaces(cluster: ClusterState) -> Iterator[CheckFinding]:
    """Look whether there are nodes for the builders that ask for user namespaces."""
    asking = [
        f"{builder.metadata.namespace}/{builder.metadata.name}"
        for builder in cluster.readable_builders()
        if builder.spec.isolation is Isolation.USER_NAMESPACE and builder.role is not Role.CONSUMER
    ]
    who = f"isolation {Isolation.USER_NAMESPACE}"
    if isinstance(cluster.nodes, Unasked):
        if asking:
            yield unknown(f"Whether nodes can run {asking[0]}, which has {who},", cluster.nodes)
        else:
            yield ok(f"No builder asks for {who}.")
        return
    nodes = [node for node in cluster.nodes if _info(node).get("operatingSystem", "linux") == "linux"]
    lacking = {node["metadata"]["name"]: lack for node in nodes if (lack := lacks(node))}
    able = f"{len(nodes) - len(lacking)} of {len(nodes)} Linux nodes can run pods in a user namespace"
    if not asking:
        yield ok(f"No builder asks for {who}{f'; {able}' if nodes else ''}.")
    elif not nodes:
        yield warning(f"{asking[0]} has {who}, but there is no Linux node.", "Add nodes, or let an autoscaler.")
    elif len(lacking) == len(nodes):
        yield failed(f"{asking[0]} has {who}, but no node can run it: {_listed(lacking)}.", _REMEDY)
    elif lacking:
        yield warning(f"{asking[0]} has {who}, but {able}: {_listed(lacking)}.", _REMEDY)
    else:
        yield ok(f"{able}, as {asking[0]} needs it.")


def lacks(node: Manifest) -> str | None:
    """Return what keeps a node from running pods in a user namespace, or None. What says no version passes."""
    info = _info(node)
    kubelet, kernel = _version(info.get("kubeletVersion")), _version(info.get("kernelVersion"))
    if kubelet is not None and kubelet < versions.USER_NAMESPACES:
        return f"kubelet {info['kubeletVersion']} is older than {versions.USER_NAMESPACES}"
    name, _, number = str(info.get("containerRuntimeVersion", "")).partition("://")
    runtime = _version(number)
    if name and name not in RUNTIMES:
        return f"{name} runs no pods in a user namespace"
    if runtime is not None and runtime < RUNTIMES[name]:
        return f"{name} {number} is older than {RUNTIMES[name]}"
    if kernel is not None and kernel < versions.LINUX:
        return f"Linux {info['kernelVersion']} is older than {versions.LINUX}"
    return None


def _info(node: Manifest) -> Manifest:
    info: Manifest = (node.get("status") or {}).get("nodeInfo") or {}
    return info


def _version(text: object) -> Version | None:
    found = re.match(r"v?(\d+)\.(\d+)", str(text or ""))
    return Version(int(found[1]), int(found[2])) if found else None


def _listed(lacking: dict[str, str]) -> str:
    named: Sequence[str] = [f"{name} ({lack})" for name, lack in list(lacking.items())[:_NAMED]]
    more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
    return ", ".join(named) + more
