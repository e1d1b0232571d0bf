"""What is seen of runner pods with an injected daemon: how many there are, what is wrong with their daemons.

No I/O. What else may be wrong with those pods is not the builder's affair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.desired.container import STATE_VOLUME
from buildkit_operator.desired.metadata import Manifest
from buildkit_operator.diagnosis import Finding, container_config, crash, daemon_status, evicted, has_ended, image_pull


def is_runner(pod: Manifest) -> bool:
    """Tell whether a pod is a job's, and not one of a shared builder's own."""
    return names.INJECTED_LABEL in (pod["metadata"].get("labels") or {})


def counts(runners: Iterable[Manifest]) -> dict[str, int]:
    """Return status.pods: those that have not ended, those whose daemon can be used, those whose daemon cannot run."""
    running = [pod for pod in runners if not has_ended(pod)]
    ready = [pod for pod in running if _is_ready(pod)]
    return {"injected": len(running), "ready": len(ready), "failed": sum(1 for _ in failed(running))}


def failed(runners: Iterable[Manifest]) -> Iterator[tuple[Manifest, Finding]]:
    """Yield the pods that wait for a daemon that cannot run, each with what is wrong."""
    for pod in runners:
        if not has_ended(pod) and not _is_ready(pod) and (finding := _finding(pod)):
            yield pod, finding


def diagnose(runners: Sequence[Manifest]) -> Finding | None:
    """Return what is wrong with the newest daemon that something is wrong with.

    What ails a pod that has ended is of no interest once a newer one is up.
    """
    replaced = False
    for pod in sorted(runners, key=lambda pod: str(pod["metadata"].get("creationTimestamp")), reverse=True):
        replaced = replaced or _is_ready(pod)
        if not (replaced and has_ended(pod)) and (finding := _finding(pod)):
            return finding
    return None


def _is_ready(pod: Manifest) -> bool:
    """Tell whether a daemon runs and its gate has let the job begin (KEP-753: started)."""
    daemon = daemon_status(pod)
    return bool(daemon.get("started")) and "running" in daemon.get("state", {})


def _finding(pod: Manifest) -> Finding | None:
    if pod.get("status", {}).get("phase") == "Succeeded":
        return None
    return next((finding for check in _CHECKS if (finding := check(pod))), None)


def _outgrown(pod: Manifest) -> Finding | None:
    """Find that a node evicted a pod over the daemon's volume, and not over something of the job's."""
    return evicted(pod) if STATE_VOLUME in str(pod.get("status", {}).get("message")) else None


_CHECKS: Final[tuple[Callable[[Manifest], Finding | None], ...]] = (image_pull, container_config, crash, _outgrown)
