"""Diagnosis of runner pods with an injected sidecar: how many there are, what is wrong with their sidecars. No I/O.

What else may be wrong with those pods is not the builder's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.reasons import Reason
from buildkit_operator.desired.cache_volume import STATE_VOLUME, ephemeral_claim
from buildkit_operator.desired.container import CONFIG_VOLUME
from buildkit_operator.kube.manifests import has_ended
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status.diagnosis.daemons import (
    Finding,
    Proxy,
    about_volumes,
    container_config,
    container_status,
    crash,
    evicted,
    image_pull,
    unschedulable,
    volume,
)


def is_runner(pod: Manifest, builder: str) -> bool:
    """Tell whether a pod was given the builder of this name: it has the sidecar, and not only labels that say so."""
    marked = (pod["metadata"].get("labels") or {}).get(names.INJECTED_LABEL) == builder
    return marked and config_map_of(pod) in {names.daemon(builder), names.sidecar(builder), names.connector(builder)}


def config_map_of(pod: Manifest) -> str | None:
    """Return the name of the ConfigMap that a pod's sidecar reads; None where it has none that we could have added."""
    spec = pod.get("spec") or {}
    if not any(container.get("restartPolicy") == "Always" for container in _sidecars(pod)):
        return None
    mounted = [volume.get("configMap") or {} for volume in spec.get("volumes") or () if volume["name"] == CONFIG_VOLUME]
    name: str | None = mounted[0].get("name") if mounted else None
    return name


def _sidecars(pod: Manifest) -> list[Manifest]:
    containers: list[Manifest] = (pod.get("spec") or {}).get("initContainers") or []
    return [container for container in containers if container["name"] in names.SIDECARS]


def counts(runners: Iterable[Manifest]) -> dict[str, int]:
    """Return status.pods: those that have not ended, those whose sidecar can be used, or cannot run."""
    running = [pod for pod in runners if not has_ended(pod)]
    ready = [pod for pod in running if _is_ready(pod)]
    return {"injected": len(running), "ready": len(ready), "failed": sum(1 for _ in failed(running))}


def failed(runners: Iterable[Manifest]) -> Iterator[tuple[Manifest, Finding]]:
    """Yield the pods that wait for a sidecar that cannot run, each with what is wrong."""
    for pod in runners:
        if not has_ended(pod) and not _is_ready(pod) and (finding := _finding(pod)):
            yield pod, finding


def diagnose(runners: Sequence[Manifest]) -> Finding | None:
    """Return what is wrong with the newest sidecar that something is wrong with.

    What is wrong with a pod that has ended is of no interest once a newer one is up.
    """
    replaced = False
    for pod in _newest_first(runners):
        replaced = replaced or _is_ready(pod)
        if not (replaced and has_ended(pod)) and (finding := _finding(pod)):
            return finding
    return None


def decisive(runners: Sequence[Manifest], injection: Manifest) -> Finding | None:
    """Return what keeps jobs from beginning now, and so speaks against the builder itself; None where nothing does.

    That is told by pods whose job waits for the very sidecar that pods are given now. What became of a sidecar later is
    its job's doing as often as the builder's, such as memory that a build took; it is only told. And nobody waits in a
    pod that has ended, or that a newer one has done better than.
    """
    alike = [pod for pod in runners if _has_sidecar_of(pod, injection)]
    if any(_is_ready(pod) for pod in alike):
        return None
    for pod in _newest_first(alike):
        if _has_begun(pod):
            return None
        if not has_ended(pod) and (finding := _finding(pod)):
            return finding
    return None


def newest_unserved(runners: Sequence[Manifest]) -> str | None:
    """Return the name of the newest pod if none of its containers was given the builder, as the engine noted."""
    newest = next(iter(_newest_first(runners)), None)
    if newest is None or (newest["metadata"].get("annotations") or {}).get(names.CONTAINERS_ANNOTATION) != "":
        return None
    return str(newest["metadata"]["name"])


def _newest_first(pods: Iterable[Manifest]) -> list[Manifest]:
    return sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True)


def _has_begun(pod: Manifest) -> bool:
    """Tell whether the job's own containers have: the sidecar was up by then."""
    status = pod.get("status") or {}
    statuses = (status.get("initContainerStatuses") or []) + (status.get("containerStatuses") or [])
    states = [found.get("state") or {} for found in statuses if found["name"] not in names.SIDECARS]
    return any("running" in state or "terminated" in state for state in states)


def _has_sidecar_of(pod: Manifest, injection: Manifest) -> bool:
    """Tell whether a pod's sidecar is what is injected now, and not of an earlier spec or somebody's own."""
    wanted = {(c["name"], c["image"], tuple(c["command"])) for c in injection["initContainers"]}
    return any((c["name"], c.get("image"), tuple(c.get("command") or ())) in wanted for c in _sidecars(pod))


def _is_ready(pod: Manifest) -> bool:
    """Tell whether a sidecar runs and its gate has let the job begin (KEP-753: started)."""
    sidecar = container_status(pod, names.CONNECTOR) or container_status(pod, names.DAEMON)
    return bool(sidecar.get("started")) and "running" in sidecar.get("state", {})


def _finding(pod: Manifest) -> Finding | None:
    if pod.get("status", {}).get("phase") == "Succeeded":
        return None
    checks = _CONNECTOR_CHECKS if container_status(pod, names.CONNECTOR) else _CHECKS
    return next((finding for check in checks if (finding := check(pod))), None)


def _claim(pod: Manifest) -> Finding | None:
    """Find that a pod with an ephemeral volume waits for volumes: for which ones the scheduler seldom says."""
    said = unschedulable(pod)
    if said is None or not about_volumes(said) or not _has_ephemeral_volume(pod):
        return None
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    return Finding(
        Reason.CLAIM_PENDING,
        f"Pod {name} waits for its volumes: {said} What becomes of the PVC of spec.cache.ephemeralVolume: "
        f"kubectl describe -n {namespace} pvc {ephemeral_claim(name)}",
    )


def _has_ephemeral_volume(pod: Manifest) -> bool:
    volumes = (pod.get("spec") or {}).get("volumes") or ()
    return any(found["name"] == STATE_VOLUME and "ephemeral" in found for found in volumes)


def _outgrown(pod: Manifest) -> Finding | None:
    """Find that a node evicted a pod over the daemon's volume, and not over something of the job's."""
    return evicted(pod) if STATE_VOLUME in str(pod.get("status", {}).get("message")) else None


_CONNECTOR: Final = Proxy(names.CONNECTOR, "connector")
_CONNECTOR_CHECKS: Final[tuple[Callable[[Manifest], Finding | None], ...]] = (_CONNECTOR.image_pull, _CONNECTOR.crash)
_CHECKS: Final[tuple[Callable[[Manifest], Finding | None], ...]] = (
    _claim,
    image_pull,
    container_config,
    volume,
    crash,
    _outgrown,
)
