"""What happens to the daemons of a shared builder: they are evicted, or killed."""

from buildkit_operator.api.names import OWNER_LABEL
from hack.cluster.kubectl import Kubectl, KubectlError


def daemon_pods(team: Kubectl, builder: str = "") -> list[str]:
    """Return the names of a namespace's pods with a shared daemon: those of one builder, or all."""
    selector = "--selector=app.kubernetes.io/name=buildkitd" + (f",{OWNER_LABEL}={builder}" if builder else "")
    return [pod["metadata"]["name"] for pod in team.get("pods", selector)]


def ending_daemons(team: Kubectl) -> list[str]:
    """Return the names of a namespace's pods with a shared daemon that has been told to end, and has not yet."""
    pods = team.get("pods", "--selector=app.kubernetes.io/name=buildkitd")
    return [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" in pod["metadata"]]


def evict(team: Kubectl, pod: str) -> bool:
    """Do to a daemon what `kubectl drain` does to the pods of a node; tell whether the disruption budget allowed it."""
    eviction = f'{{"apiVersion":"policy/v1","kind":"Eviction","metadata":{{"name":"{pod}"}}}}'
    path = f"/api/v1/namespaces/{team.namespace}/pods/{pod}/eviction"
    try:
        team("create", "--raw", path, "--filename=-", text=eviction)
    except KubectlError as error:
        if "disruption budget" not in str(error):
            raise
        return False
    return True


def kill_daemon(team: Kubectl, pod: str) -> None:
    """End a daemon as the kernel would, without a signal that it could heed. Raises KubectlError where none runs."""
    team("exec", pod, "--container=buildkitd", "--", "sh", "-euc", "kill -9 $(pidof buildkitd)")
