"""Diagnosis of graceful termination: which daemons were ended before they were done, busy or silent. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from buildkit_operator.api.reasons import Reason
from buildkit_operator.desired.scripts import BUSY, SILENT
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status.diagnosis.daemons import Finding, daemon_status

_WHAT: dict[str, str] = {
    BUSY: "while it ran builds, which are lost",
    SILENT: "while it did not answer, with its builds",
}


def cut_short(pods: Iterable[Manifest]) -> Iterator[tuple[Manifest, Finding]]:
    """Yield the daemons that have ended with builds in them, or without an answer, each with what to tell of it.

    drain.sh leaves a word of it in the container's termination log for as long as that is so. What has not ended is not
    judged by the time it takes: an idle daemon takes longer than a short grace period, and nobody hears of one whose
    node is gone.
    """
    for pod in pods:
        ended = daemon_status(pod).get("state", {}).get("terminated") or {}
        left = _WHAT.get(str(ended.get("message", "")).strip())
        if "deletionTimestamp" in pod["metadata"] and left is not None:
            yield (
                pod,
                Finding(
                    Reason.DRAIN_TIMED_OUT,
                    f"Daemon {pod['metadata']['name']} was told to stop and was ended {left}: its time was over. If "
                    "builds may take longer, raise spec.shared.drainTimeoutSeconds; if whoever stopped it gave it less "
                    "time, as kubectl delete --grace-period or an autoscaler does, let it have its own.",
                ),
            )
