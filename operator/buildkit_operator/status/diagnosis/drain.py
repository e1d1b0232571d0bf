"""Diagnosis of graceful termination: which daemons are killed at the end of their drain while they are busy. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from buildkit_operator.api.reasons import Reason
from buildkit_operator.desired.workload import STOP_SECONDS
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status.diagnosis.daemons import Finding, daemon_status

ENDING_SECONDS: Final = 5
"""How long a daemon that has finished its builds may take to end, in seconds; only a busy one takes longer."""


def cut_short(pods: Iterable[Manifest], now: datetime) -> Iterator[tuple[Manifest, Finding]]:
    """Yield the daemons that had their time to finish and still run, each with what to tell of it.

    The kubelet kills them at the end of their grace period, STOP_SECONDS after drain.sh has given up.
    """
    for pod in _stopping(pods):
        if now >= _deadline(pod):
            name = pod["metadata"]["name"]
            yield (
                pod,
                Finding(
                    Reason.DRAIN_TIMED_OUT,
                    f"Daemon {name} was told to stop, had its time to finish and is still busy: it is ended now, and "
                    "the builds it runs are lost. If builds may take longer, raise spec.shared.drainTimeoutSeconds; if "
                    "whoever stopped it gave it less time, as kubectl delete --grace-period does, let it have its own.",
                ),
            )


def until_next_deadline(pods: Iterable[Manifest], now: datetime) -> float | None:
    """Return the seconds until the next daemon's time to finish is over, or None where none is stopping."""
    times = [(_deadline(pod) - now).total_seconds() for pod in _stopping(pods)]
    return min((seconds for seconds in times if seconds > 0), default=None)


def _stopping(pods: Iterable[Manifest]) -> Iterator[Manifest]:
    for pod in pods:
        if "deletionTimestamp" in pod["metadata"] and "running" in daemon_status(pod).get("state", {}):
            yield pod


def _deadline(pod: Manifest) -> datetime:
    # A pod's deletionTimestamp is when its grace period ends.
    killed_at = datetime.fromisoformat(pod["metadata"]["deletionTimestamp"])
    return killed_at - timedelta(seconds=STOP_SECONDS - ENDING_SECONDS)
