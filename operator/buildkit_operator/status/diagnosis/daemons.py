"""Diagnosis of daemons: what keeps a builder's pods from being made or from running, with the remedy. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason, row
from buildkit_operator.desired.isolation import (
    ENFORCE_LABEL,
    ENFORCE_VERSION_LABEL,
    Level,
    PodSecurity,
    strictest_level,
)
from buildkit_operator.kube.manifests import condition, has_ended
from buildkit_operator.kube.resources import Manifest


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, found on a live object."""

    reason: Reason
    message: str

    @property
    def user_must_act(self) -> bool:
        """Whether waiting is of no use."""
        return row(self.reason).user_must_act


PULL_FAILURES: Final = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
)
_CONFIG_FAILURES: Final = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})

_CLAIM_UNHEARD_OF: Final = re.compile('persistentvolumeclaim "[^"]*" not found')

_USER_NAMESPACE_REMEDIES: Final = {
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


def _pod_security_remedy(builder: BuildKitBuilder, refusing: Level) -> str:
    label = f"kubectl label --overwrite namespace {builder.metadata.namespace} {ENFORCE_LABEL}"
    if strictest_level(builder.spec) is Level.BASELINE:
        # Where the label is there already, or a default of the cluster's stands in for it, its version is too old.
        version = f" {ENFORCE_VERSION_LABEL}=latest" if refusing is Level.BASELINE else ""
        return f"Level baseline admits them: {label}=baseline{version}"
    if refusing is Level.RESTRICTED:
        return f"Set spec.isolation to UserNamespace and: {label}=baseline. Or keep it and: {label}=privileged"
    return f"Set spec.isolation to UserNamespace, which level baseline admits, or: {label}=privileged"


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
    said = sentence(failure.get("message"))
    refused = refused_by_pod_security(builder, said)
    return refused or Finding(Reason.PODS_REFUSED, f"The API server refuses the daemon's pods: {said}")


def unschedulable(pod: Manifest) -> str | None:
    """Return what the scheduler says of a pod that no node takes, or None."""
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") != "False" or scheduled.get("reason") != "Unschedulable":
        return None
    message = str(scheduled.get("message", ""))
    # A StatefulSet makes a PVC just before its pod, and the scheduler may hear of the pod first.
    return None if _CLAIM_UNHEARD_OF.search(message) else sentence(message)


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


def container_config(pod: Manifest) -> Finding | None:
    """Find that the daemon's container cannot be made."""
    waiting = _waiting(pod)
    if waiting.get("reason") not in _CONFIG_FAILURES:
        return None
    return Finding(
        Reason.CONTAINER_CONFIG_ERROR,
        f"Pod {_name(pod)} cannot start: {sentence(waiting.get('message'))} Check spec.env and what it refers to.",
    )


def _volume(pod: Manifest) -> Finding | None:
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
        for sign, remedy in _USER_NAMESPACE_REMEDIES.items():
            if sign in log:
                return Finding(
                    Reason.USER_NAMESPACE_DENIED,
                    f"The daemon in pod {_name(pod)} may not make a user namespace: {_line_with(sign, log)} {remedy}",
                )
        # A sidecar that was given up ends with 0, but leaves the log that started.sh quotes.
        if ended.get("exitCode") or log:
            how = f"ended with exit code {ended['exitCode']}" if ended.get("exitCode") else "did not come up"
            return Finding(
                Reason.CRASH_LOOP,
                f"The daemon in pod {_name(pod)} {how}: {_cause(log)} "
                f"All of it: kubectl logs --previous -n {pod['metadata']['namespace']} {_name(pod)} -c {names.DAEMON}",
            )
    return None


_POD_CHECKS: Final[tuple[Callable[[Manifest], Finding | None], ...]] = (
    _unschedulable,
    image_pull,
    container_config,
    _volume,
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
    return sentence(next((line for line in lines if line.startswith("buildkitd: ")), lines[-1] if lines else None))
