"""When a builder is looked at again although nothing has happened."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.api.reasons import Reason
from buildkit_operator.status import Observed, Trial
from buildkit_operator.status.diagnosis import drain

RECHECK_SECONDS: Final = 10.0
"""How soon a builder with a problem is looked at again: what mends it may be an object that is not watched."""

LEFTOVER_SECONDS: Final = 1.0
"""How soon after an object of a deleted builder was in the way."""


def next_look(
    builder: BuildKitBuilder, observed: Observed, now: datetime, until_trial: float | None = None
) -> float | None:
    """Return the seconds after which a builder is to be looked at without an event, or None for never."""
    if builder.spec.suspend:
        return until_trial  # nothing else would be done, not even about a certificate that is due
    if observed.waiting_for is not None:
        return LEFTOVER_SECONDS if observed.waiting_reason is Reason.PROGRESSING else RECHECK_SECONDS
    if observed.problem is not None:
        return RECHECK_SECONDS
    if builder.role is Role.SIDECAR:
        return _until_sidecar_is_served(observed.trial, until_trial)
    looks = (_until_renewal(observed, now), drain.next_verdict(observed.pods, now))
    return min((seconds for seconds in looks if seconds is not None), default=None)


def _until_renewal(observed: Observed, now: datetime) -> float | None:
    dues = [
        *([observed.certificates.renewal] if observed.certificates is not None else ()),
        *([observed.grant.due] if observed.grant is not None else ()),
    ]
    return max(0.0, (min(dues) - now).total_seconds()) if dues else None


def _until_sidecar_is_served(trial: Trial | None, until_trial: float | None) -> float | None:
    if trial is not None and trial.served:
        return None
    if until_trial is not None:
        return until_trial
    # What is rendered was written just now and is to be tried; or the namespace is in the way, which is not watched.
    return 0.0 if trial is None else RECHECK_SECONDS
