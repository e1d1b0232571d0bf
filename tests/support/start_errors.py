"""Pods whose container the node's runtime could not start: they ran nothing, and are created again.

On a busy node with cgroup v1, runc now and then cannot start a container ("unable to freeze"). The kubelet then says
StartError, and a pod that never restarts has failed without a word.
"""

from buildkit_operator.kube.resources import Manifest
from hack.cluster.kubectl import Kubectl


def recreated(kubectl: Kubectl, pod: Manifest, manifest: Manifest) -> bool:
    """Create a pod again that could not start; tell whether it was one. What the runtime said is printed."""
    states = [status.get("state", {}) for status in pod["status"].get("containerStatuses", [])]
    errors = [
        ended["message"] for state in states if (ended := state.get("terminated", {})).get("reason") == "StartError"
    ]
    if not errors:
        return False
    print(f"{manifest['metadata']['name']} could not start and is created again: {errors[0]}")
    kubectl("delete", "pod", manifest["metadata"]["name"], "--grace-period=1")
    kubectl.apply(manifest)
    return True
