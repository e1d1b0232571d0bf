"""Requeue intervals: after how long a builder is reconciled again although no event asked for it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.api.reasons import Reason
from buildkit_operator.status import Observed, Trial
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
    if observed.waiting_for is not None:
        return PREVIOUS_OWNER_REQUEUE if observed.waiting_reason is Reason.PROGRESSING else UNWATCHED_FIX_REQUEUE
    if observed.problem is not None:
        return UNWATCHED_FIX_REQUEUE
    if builder.role is Role.SIDECAR:
        return _until_sidecar_is_served(observed.trial, until_probe)
    looks = (_until_renewal(observed, now), drain.next_verdict(observed.pods, now))
    return min((seconds for seconds in looks if seconds is not None), default=None)


def _until_renewal(observed: Observed, now: datetime) -> float | None:
    dues = [
        *([observed.certificates.renewal] if observed.certificates is not None else ()),
        *([observed.grant.due] if observed.grant is not None else ()),
    ]
    return max(0.0, (min(dues) - now).total_seconds()) if dues else None


def _until_sidecar_is_served(probe: Trial | None, until_probe: float | None) -> float | None:
    if probe is not None and probe.served:
        return None
    if until_probe is not None:
        return until_probe
    # What is rendered was written just now and is to be tried; or the namespace is in the way, which is not watched.
    return 0.0 if probe is None else UNWATCHED_FIX_REQUEUE
