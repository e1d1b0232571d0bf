"""Diagnosis of daemons: what keeps a builder's pods from being made or from running, with the remedy. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason, row
from buildkit_operator.desired.cache_volume import STATE_VOLUME
from buildkit_operator.desired.isolation import (
    ENFORCE_LABEL,
    ENFORCE_VERSION_LABEL,
    Level,
    PodSecurity,
    strictest_level,
)
from buildkit_operator.desired.scripts import CACHE_BROKEN
from buildkit_operator.kube.manifests import condition, controller_of, has_ended, is_of
from buildkit_operator.kube.resources import REPLICA_SET, STATEFUL_SET, Manifest

CONNECTOR_IMAGE_SETTING: Final = (
    "the operator's setting BUILDKIT_OPERATOR_CONNECTOR_IMAGE (in the chart connectorImage)"
)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, found on a live object."""

    reason: Reason
    message: str

    @property
    def user_must_act(self) -> bool:
        """Whether waiting is of no use."""
        return row(self.reason).user_must_act


def is_daemon(pod: Manifest, builder: str) -> bool:
    """Tell whether a pod is of a workload of a shared builder: by its controller, as anybody can set its labels.

    A workload that is replaced has another uid and the same name, and its pods may still drain, as may those of an
    architecture that the builder has no more. Who names a controller that does not exist has the pod removed by
    Kubernetes' garbage collection.
    """
    return workload_of(pod) in names.daemons(builder)


def workload_of(pod: Manifest) -> str | None:
    """Return the name of the Deployment or StatefulSet that a pod is of, by its controller."""
    owner = controller_of(pod)
    if owner is None:
        return None
    if is_of(owner, STATEFUL_SET):
        return str(owner["name"])
    # A ReplicaSet's name is its Deployment's and a hash of its template.
    return str(owner["name"]).rpartition("-")[0] if is_of(owner, REPLICA_SET) else None


PULL_FAILURES: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
)
_CONFIG_FAILURES: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})

_CLAIM_UNHEARD_OF: Final = re.compile(
    'persistentvolumeclaim "[^"]*" not found|waiting for ephemeral volume controller to create'
)

_OTHER_IDS: Final = "the cache was written with other ids"
"""What ids.sh says of a cache that another isolation wrote."""

_USER_NAMESPACE_REMEDIES: Final = {
    # ids.sh, before rootlesskit would say the next.
    "builds are to have ids of the pod up to": (
        "With isolation UserNamespace, set userNamespaces.idsPerPod of the nodes' kubelet to spec.highestID + 2 or "
        "more, or lower spec.highestID. With Rootless the node itself lacks them, as one in a container may: use "
        "others, or lower spec.highestID."
    ),
    # moby/buildkit#1671: newuidmap gains its capability at exec, which no_new_privs forbids.
    "newuidmap": (
        "A policy (Kyverno, Gatekeeper, a security context constraint) sets allowPrivilegeEscalation: false or drops "
        "capabilities: exempt the builder's pods from it."
    ),
    # examples/eksctl/bottlerocket.yaml of BuildKit: the sysctl is 0 there.
    "/proc/self/exe: no space left on device": (
        "The node allows no user namespaces: set its sysctl user.max_user_namespaces above 0."
    ),
    "/proc/self/exe: operation not permitted": (
        "A seccomp profile forbids it. If the pod's securityContext.seccompProfile does, set that on its other "
        "containers instead; if the kubelet's seccompDefault does, only isolation Rootless with spec.securityProfiles "
        "Unconfined goes without. Or the node forbids user namespaces to ordinary users: set "
        "kernel.unprivileged_userns_clone=1, or on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0."
    ),
    # moby/buildkit#2441: the container engine's AppArmor profile lets nobody mount.
    "failed to share mount point: /: permission denied": (
        "The node's AppArmor profile for containers forbids mounts: only isolation Rootless with "
        "spec.securityProfiles Unconfined goes without."
    ),
}
"""What the daemon's log says when it gets no user namespace, and what to do about it."""


def diagnose(builder: BuildKitBuilder, deployment: Manifest, pods: Iterable[Manifest]) -> Finding | None:
    """Return the first thing that keeps daemons from running: pods cannot be made, or something is wrong with one."""
    refused = _refused(builder, deployment)
    if refused is not None:
        return refused
    return next((finding for pod in _suspects(pods) for check in _POD_CHECKS if (finding := check(pod))), None)


def diagnose_namespace(builder: BuildKitBuilder, enforced: PodSecurity) -> Finding | None:
    """Return why a namespace with this Pod Security admits no pod of the builder, or None if it does."""
    if enforced.level <= strictest_level(builder.spec):
        return None
    return Finding(
        Reason.POD_SECURITY_DENIED,
        f"Namespace {builder.metadata.namespace} enforces Pod Security level {enforced.level}, which refuses every pod "
        f"with this daemon. {_pod_security_remedy(builder, enforced.level)}",
    )


def refused_by_pod_security(builder: BuildKitBuilder, said: str) -> Finding | None:
    """Return the finding that Pod Security refused a pod of the builder, or None if what was said is something else."""
    violated = re.search(r'violates PodSecurity "(baseline|restricted):', said)
    if violated is None:
        return None
    remedy = _pod_security_remedy(builder, Level[violated[1].upper()])
    return Finding(Reason.POD_SECURITY_DENIED, f"Pod Security refuses pods with this daemon: {sentence(said)} {remedy}")


def refused_daemon(builder: BuildKitBuilder, said: str) -> Finding:
    """Return the finding that the API server refused a pod of the builder's workload with these words."""
    told = sentence(said)
    refused = refused_by_pod_security(builder, told)
    return refused or Finding(Reason.PODS_REFUSED, f"The API server refuses the daemon's pods: {told}")


def _pod_security_remedy(builder: BuildKitBuilder, refusing: Level) -> str:
    label = f"kubectl label --overwrite namespace {builder.metadata.namespace} {ENFORCE_LABEL}"
    if strictest_level(builder.spec) is Level.BASELINE:
        # Where the label is there already, or a default of the cluster's stands in for it, its version is too old.
        version = f" {ENFORCE_VERSION_LABEL}=latest" if refusing is Level.BASELINE else ""
        return f"Level baseline admits them: {label}=baseline{version}"
    has_claims = builder.spec.cache.persistent_volume_claim is not None
    # The files of a cache belong to the ids of its isolation.
    change = "Create another builder with isolation" if has_claims else "Set spec.isolation to"
    if refusing is Level.RESTRICTED:
        return f"{change} UserNamespace and: {label}=baseline. Or keep it and: {label}=privileged"
    return f"{change} UserNamespace, which level baseline admits, or: {label}=privileged"


def _suspects(pods: Iterable[Manifest]) -> Iterator[Manifest]:
    """Yield the pods that may be in the way, the newest first: the others' troubles are over, or will be with them."""
    replaced = False
    for pod in sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True):
        if _is_ready(pod):
            replaced = True
        elif "deletionTimestamp" not in pod["metadata"] and not (replaced and has_ended(pod)):
            yield pod


def _refused(builder: BuildKitBuilder, deployment: Manifest) -> Finding | None:
    failure = condition(deployment, "ReplicaFailure")
    if failure.get("status") != "True":
        return None
    return refused_daemon(builder, str(failure.get("message") or ""))


def unschedulable(pod: Manifest) -> str | None:
    """Return what the scheduler says of a pod that no node takes, or None."""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") != "False" or scheduled.get("reason") != "Unschedulable":
        return None
    message = str(scheduled.get("message", ""))
    # A StatefulSet makes a PVC just before its pod, and for an ephemeral volume one is made just after it.
    return None if _CLAIM_UNHEARD_OF.search(message) else sentence(message)


def about_volumes(said: str) -> bool:
    """Tell whether the scheduler names volumes; of other reasons, a PVC that waits for its pod is the consequence."""
    return re.search("volume|storageclass", said, re.IGNORECASE) is not None


def _unschedulable(pod: Manifest) -> Finding | None:
    said = unschedulable(pod)
    if said is None:
        return None
    return Finding(
        Reason.UNSCHEDULABLE,
        f"No node takes pod {_name(pod)}: {said} Check spec.resources and spec.shared.pod against the nodes.",
    )


def evicted(pod: Manifest) -> Finding | None:
    """Find that a pod's node got rid of it."""
    status = pod.get("status", {})
    if status.get("reason") != "Evicted":
        return None
    return Finding(
        Reason.EVICTED,
        f"Its node evicted pod {_name(pod)}: {sentence(status.get('message'))} "
        "If the cache outgrew its volume, raise spec.cache.size or lower spec.daemon.garbageCollection.maxUsedSpace.",
    )


def image_pull(pod: Manifest) -> Finding | None:
    """Find that the daemon's image cannot be had."""
    waiting = _waiting(pod)
    if waiting.get("reason") not in PULL_FAILURES:
        return None
    return Finding(
        Reason.IMAGE_PULL_FAILED,
        f"Pod {_name(pod)} cannot get its image: {waiting['reason']}: {sentence(waiting.get('message'))} "
        "Check spec.image, and spec.imagePullSecrets if its registry asks for credentials.",
    )


@dataclass(frozen=True)
class Proxy:
    """A container with HAProxy: the front of a shared daemon, or the connector of a runner pod."""

    container: str
    noun: str

    def image_pull(self, pod: Manifest) -> Finding | None:
        """Find that its image cannot be had."""
        waiting = (container_status(pod, self.container).get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in PULL_FAILURES:
            return None
        return Finding(
            Reason.IMAGE_PULL_FAILED,
            f"Pod {_name(pod)} cannot get the image of its {self.noun}: {waiting['reason']}: "
            f"{sentence(waiting.get('message'))} Have {CONNECTOR_IMAGE_SETTING} name one that can be pulled here.",
        )

    def crash(self, pod: Manifest) -> Finding | None:
        """Find that it did not come up, or came to an end that it does not make by itself."""
        status = container_status(pod, self.container)
        ends = [end for which in ("state", "lastState") if (end := (status.get(which) or {}).get("terminated"))]
        failed = next((end for end in ends if end.get("exitCode")), None)
        if failed is None:
            return None
        where = f"-n {pod['metadata']['namespace']} {_name(pod)} -c {self.container}"
        return Finding(
            Reason.OUT_OF_MEMORY if failed.get("reason") == "OOMKilled" else Reason.CRASH_LOOP,
            f"The {self.noun} in pod {_name(pod)} ended with exit code {failed['exitCode']}: "
            f"{sentence(failed.get('message'))} All of it: kubectl logs --previous {where}",
        )


def container_config(pod: Manifest) -> Finding | None:
    """Find that the daemon's container cannot be made."""
    waiting = _waiting(pod)
    if waiting.get("reason") not in _CONFIG_FAILURES:
        return None
    return Finding(
        Reason.CONTAINER_CONFIG_ERROR,
        f"Pod {_name(pod)} cannot start: {sentence(waiting.get('message'))} Check spec.env and what it refers to.",
    )


def volume(pod: Manifest) -> Finding | None:
    """Find that the volume of a pod's PVC cannot be given to the daemon."""
    owner = container_status(pod, names.VOLUME_OWNER)
    ended = [(owner.get(which) or {}).get("terminated") or {} for which in ("state", "lastState")]
    # What the time before ended with is of no interest once it has succeeded.
    if ended[0].get("exitCode") == 0 or not (failed := [end for end in ended if end.get("exitCode")]):
        return None
    return Finding(
        Reason.VOLUME_NOT_WRITABLE,
        f"The volume of pod {_name(pod)} cannot be given to the daemon: {_cause(str(failed[0].get('message', '')))} "
        "Make its top directory writable for uid 1000.",
    )


def crash(pod: Manifest) -> Finding | None:
    """Find how the daemon ended, now or the time before."""
    for ended in _endings(pod):
        log = str(ended.get("message", ""))
        if ended.get("reason") == "OOMKilled":
            return Finding(
                Reason.OUT_OF_MEMORY,
                f"The daemon in pod {_name(pod)} ran out of memory. Build steps count towards it: "
                "raise spec.resources.limits.memory or lower spec.daemon.maxParallelism.",
            )
        if _OTHER_IDS in log:
            return _incompatible_cache(pod, log)
        for sign, remedy in _USER_NAMESPACE_REMEDIES.items():
            if sign in log:
                return Finding(
                    Reason.USER_NAMESPACE_DENIED,
                    f"The daemon in pod {_name(pod)} may not make a user namespace: {_line_with(sign, log)} {remedy}",
                )
        if (found := _cache_trouble(pod, log)) is not None:
            return found
        # A sidecar that was given up leaves the log that started.sh quotes; 0 is the end of one of an older operator.
        if ended.get("exitCode") or log:
            how = f"ended with exit code {ended['exitCode']}" if ended.get("exitCode") else "did not come up"
            return Finding(
                Reason.CRASH_LOOP,
                f"The daemon in pod {_name(pod)} {how}: {_cause(log)} "
                f"All of it: kubectl logs --previous -n {pod['metadata']['namespace']} {_name(pod)} -c {names.DAEMON}",
            )
    return None


def _incompatible_cache(pod: Manifest, log: str) -> Finding:
    claim = f"{STATE_VOLUME}-{_name(pod)}"
    remedy = (
        "Delete the PVC and its pod, and both are recreated, with an empty cache: "
        f"kubectl delete -n {pod['metadata']['namespace']} pvc/{claim} pod/{_name(pod)} Or create the builder again, "
        "with the isolation and highestID that it had before."
        if not _is_sidecar(pod)
        else "Give spec.cache.ephemeralVolume.dataSource a cache of a builder with the same isolation and highestID, "
        "or remove it."
    )
    return Finding(
        Reason.CACHE_INCOMPATIBLE,
        f"The daemon in pod {_name(pod)} does not use what is on its PVC, files of which would change their owners: "
        f"{_line_with(_OTHER_IDS, log)} {remedy}",
    )


def _is_sidecar(pod: Manifest) -> bool:
    """Tell whether a pod is a runner pod, and not one of a shared builder's."""
    statuses = pod.get("status", {}).get("initContainerStatuses") or ()
    return any(container["name"] == names.DAEMON for container in statuses)


FULL: Final = "no space left on device"


def _cache_trouble(pod: Manifest, log: str) -> Finding | None:
    """Find that the daemon's volume is full, or that its cache was broken."""
    if CACHE_BROKEN in log:
        return Finding(
            Reason.CACHE_BROKEN,
            f"The daemon in pod {_name(pod)} found its cache broken, as a node's crash may leave it: "
            f"{sentence(_line_with(CACHE_BROKEN, log).partition(CACHE_BROKEN)[2])} It was moved aside, and the daemon "
            "begins with an empty one. If that happens again, the storage does not keep what it was given.",
        )
    if FULL not in log:
        return None
    name, namespace = _name(pod), pod["metadata"]["namespace"]
    owner = controller_of(pod)
    if _is_sidecar(pod) and container_status(pod, names.VOLUME_OWNER):
        remedy = "Raise spec.cache.size, for the pods that come then."
    elif owner is not None and is_of(owner, STATEFUL_SET):
        remedy = (
            "Raise spec.cache.size, if the StorageClass allows volume expansion; or delete the cache: "
            f"kubectl delete -n {namespace} pvc/{STATE_VOLUME}-{name} pod/{name}"
        )
    else:
        remedy = "Delete the pod, and its cache with it, and see that its node has room."
    return Finding(Reason.VOLUME_FULL, f"The volume of pod {name} is full: {_line_with(FULL, log)} {remedy}")


_FRONT: Final = Proxy(names.FRONT, "front")

_POD_CHECKS: Final[tuple[Callable[[Manifest], Finding | None], ...]] = (
    _unschedulable,
    image_pull,
    _FRONT.image_pull,
    _FRONT.crash,
    container_config,
    volume,
    crash,
    evicted,
)


def _endings(pod: Manifest) -> Iterator[dict[str, Any]]:
    """Yield how the daemon's container ended, now and the time before."""
    for which in ("state", "lastState"):
        if ended := _state(pod, which, "terminated"):
            yield ended


def _is_ready(pod: Manifest) -> bool:
    return bool(daemon_status(pod).get("ready"))


def _state(pod: Manifest, which: str, state: str) -> dict[str, Any]:
    return daemon_status(pod).get(which, {}).get(state) or {}


def _waiting(pod: Manifest) -> dict[str, Any]:
    """Return why the daemon's container has not started, or the one before it that gives it its volume."""
    before: dict[str, Any] = (container_status(pod, names.VOLUME_OWNER).get("state") or {}).get("waiting") or {}
    return before or _state(pod, "state", "waiting")


def daemon_status(pod: Manifest) -> dict[str, Any]:
    """Return what the kubelet says of the daemon's container, nothing before it has looked."""
    return container_status(pod, names.DAEMON)


def container_status(pod: Manifest, name: str) -> dict[str, Any]:
    """Return what the kubelet says of a container, nothing before it has looked."""
    status = pod.get("status", {})
    containers = (status.get("containerStatuses") or []) + (status.get("initContainerStatuses") or [])
    return next((container for container in containers if container["name"] == name), {})


def _name(pod: Manifest) -> str:
    return str(pod["metadata"]["name"])


def sentence(text: object) -> str:
    """Return somebody's message as one line that ends as a sentence does."""
    line = " ".join(str(text or "no reason given").split())[:1000].rstrip(".")
    return line if line.endswith(("?", "!")) else f"{line}."


def _line_with(sign: str, log: str) -> str:
    """Return the line of a log that has a sign in it, as a sentence."""
    return sentence(next(line for line in log.splitlines() if sign in line))


def _cause(log: str) -> str:
    """Return the line of a log that says why the daemon ended; behind it come a stack trace and who noticed."""
    lines = [line for line in log.splitlines() if line.strip()]
    causes = ("buildkitd: ", "panic: ", "fatal error: ")
    return sentence(next((line for line in lines if line.startswith(causes)), lines[-1] if lines else None))
