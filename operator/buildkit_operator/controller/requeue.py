"""Requeue intervals: after how long a builder is reconciled again although no event asked for it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.status import ConsumerObserved, DaemonsObserved, Observed, Pending, ProbeResult, SidecarObserved
from buildkit_operator.status.diagnosis import drain

UNWATCHED_FIX_REQUEUE: Final = 10.0
"""In seconds, for a builder with a problem: what fixes it may be an object that is not watched."""

PREVIOUS_OWNER_REQUEUE: Final = 1.0
"""In seconds, while an object of a deleted builder of the same name waits for its garbage collection."""


def requeue_after(
    builder: BuildKitBuilder, observed: Observed, now: datetime, until_probe: float | None = None
) -> float | None:
    """Return the seconds after which a builder is to be reconciled without an event, or None for never.

    `until_probe` are those until the next admission dry run is due, None where none is.
    """
    if builder.spec.suspend:
        return until_probe  # nothing else would be done, not even about a certificate that is due
    match observed.blocked:
        case Pending(reason=Reason.PROGRESSING):
            return PREVIOUS_OWNER_REQUEUE
        case Pending() | TerminalError():
            return UNWATCHED_FIX_REQUEUE
        case None:
            return _until_due(observed, now, until_probe)


def _until_due(observed: Observed, now: datetime, until_probe: float | None) -> float | None:
    match observed:
        case SidecarObserved():
            return _until_sidecar_is_served(observed.probe, until_probe)
        case DaemonsObserved():
            renewal = observed.certificates.renewal if observed.certificates is not None else None
            dues = (_until(renewal, now), drain.until_next_deadline(observed.pods, now))
            return min((seconds for seconds in dues if seconds is not None), default=None)
        case ConsumerObserved():
            return _until(observed.grant.due if observed.grant is not None else None, now)


def _until(due: datetime | None, now: datetime) -> float | None:
    return max(0.0, (due - now).total_seconds()) if due is not None else None


def _until_sidecar_is_served(probe: ProbeResult | None, until_probe: float | None) -> float | None:
    if probe is not None and probe.served:
        return None
    if until_probe is not None:
        return until_probe
    # What is rendered was written just now and is to be probed; or the namespace is in the way, which is not watched.
    return 0.0 if probe is None else UNWATCHED_FIX_REQUEUE
