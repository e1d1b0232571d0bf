"""The wait until what was applied runs, which ends at once where an image cannot be pulled."""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from buildkit_operator.kube.resources import Manifest
from hack.cluster.installation import OPERATOR
from hack.cluster.kubectl import Kubectl
from hack.cluster.problems import ClusterError
from hack.install.image import BUILD_AND_PUSH

SECONDS: Final = 300
_UNPULLED: Final = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})


def wait(kubectl: Kubectl, names: Sequence[str], image: str, seconds: float = SECONDS) -> None:
    """Wait until all pods of these Deployments are ready and of the newest template. Raises ClusterError."""
    deadline = time.monotonic() + seconds
    while unready := [name for name in names if not _is_complete(_read(kubectl, f"deployment/{name}"))]:
        states = list(_waiting(kubectl, image))
        for pod, reason, message in states:
            if reason in _UNPULLED:
                raise ClusterError(
                    f"The cluster cannot pull {image} (pod {pod}, {reason}: {message}). Build and push it to where the "
                    f"cluster can pull it, and name it:\n{BUILD_AND_PUSH}"
                )
        if time.monotonic() > deadline:
            seen = "; ".join(f"pod {pod}: {reason}: {message}" for pod, reason, message in states) or "no pod says why"
            raise ClusterError(
                f"{', '.join(unready)} in namespace {OPERATOR}: not ready after {seconds:g} seconds ({seen}). "
                f"kubectl get pods -n {OPERATOR} shows how it goes on."
            )
        time.sleep(1)


def _is_complete(deployment: Manifest) -> bool:
    wanted, status = deployment["spec"]["replicas"], deployment.get("status", {})
    counts = (status.get(field, 0) for field in ("replicas", "updatedReplicas", "availableReplicas"))
    seen = status.get("observedGeneration") == deployment["metadata"]["generation"]
    return seen and all(count == wanted for count in counts)


def _waiting(kubectl: Kubectl, image: str) -> Iterator[tuple[str, str, str]]:
    """Yield name, reason and message of each pod with this image that waits for something."""
    for pod in _read(kubectl, "pods")["items"]:
        if all(container["image"] != image for container in pod["spec"]["containers"]):
            continue
        status = pod.get("status", {})
        for container in status.get("containerStatuses", []):
            if waiting := container["state"].get("waiting"):
                yield pod["metadata"]["name"], waiting.get("reason", ""), waiting.get("message", "").strip()
        for found in status.get("conditions", []):
            if found["type"] == "PodScheduled" and found["status"] == "False":
                yield pod["metadata"]["name"], found.get("reason", ""), found.get("message", "").strip()


def _read(kubectl: Kubectl, what: str) -> Any:
    return json.loads(kubectl.within(OPERATOR)("get", what, "--output=json"))
