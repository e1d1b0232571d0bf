"""Requeue intervals: after how long a builder is reconciled again although no event asked for it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.desired.certificates import Certificates
from buildkit_operator.desired.consumers import Grant
from buildkit_operator.status import ConsumerObserved, DaemonsObserved, Observed, Pending, ProbeResult, SidecarObserved
from buildkit_operator.status.diagnosis import terminating

UNWATCHED_FIX_REQUEUE: Final = 10.0
"""In seconds, for a builder with a problem: what fixes it may be an object that is not watched."""

PREVIOUS_OWNER_REQUEUE: Final = 1.0
"""In seconds, while an object of a deleted builder of the same name waits for its garbage collection."""


OTHER_INSTALLATION_REQUEUE: Final = 15.0
"""In seconds, for a builder that another installation is in charge of: nobody tells when that is gone."""

SUSPENDED_REQUEUE: Final = 600.0
"""In seconds, the least between two looks at the certificates of a suspended builder."""


def requeue_after(
    builder: BuildKitBuilder, observed: Observed, now: datetime, until_probe: float | None = None
) -> float | None:
    """Return the seconds after which a builder is to be reconciled without an event, or None for never.

    `until_probe` are those until the next admission dry run is due, None where none is.
    """
    if builder.spec.suspend:
        return _until_suspended_is_due(observed, now, until_probe)
    match observed.blocked:
        case Pending(reason=Reason.PROGRESSING):
            return PREVIOUS_OWNER_REQUEUE
        case Pending() | TerminalError():
            return UNWATCHED_FIX_REQUEUE
        case None:
            return _until_due(observed, now, until_probe)


def _until_suspended_is_due(observed: Observed, now: datetime, until_probe: float | None) -> float | None:
    """Return when a suspended builder is to be seen to. What is due may not be done, as another CA is not made."""
    renewal = _renewal(observed)
    return _soonest(until_probe, None if renewal is None else max(SUSPENDED_REQUEUE, (renewal - now).total_seconds()))


def _renewal(observed: Observed) -> datetime | None:
    """Return when the first certificate is to be looked at again."""
    match observed:
        case DaemonsObserved(certificates=Certificates() as certificates):
            return certificates.renewal
        case ConsumerObserved(grant=Grant() as grant):
            return grant.due
        case _:
            return None


def _until_due(observed: Observed, now: datetime, until_probe: float | None) -> float | None:
    match observed:
        case SidecarObserved():
            return _until_sidecar_is_served(observed.probe, until_probe)
        case DaemonsObserved():
            going = terminating.until_overdue(observed.pods, now)
            scaling = None if observed.scaling is None else _until(observed.scaling.due, now)
            return _soonest(_until_written(observed), until_probe, _until(_renewal(observed), now), going, scaling)
        case ConsumerObserved():
            return _soonest(_until_written(observed), until_probe, _until(_renewal(observed), now))


def _until_written(observed: Observed) -> float | None:
    """Return when what an earlier mode has left is to be deleted: at once after pods are given what belongs to this."""
    return 0.0 if observed.is_new else None


def _soonest(*dues: float | None) -> float | None:
    return min((seconds for seconds in dues if seconds is not None), default=None)


def _until(due: datetime | None, now: datetime) -> float | None:
    return max(0.0, (due - now).total_seconds()) if due is not None else None


def _until_sidecar_is_served(probe: ProbeResult | None, until_probe: float | None) -> float | None:
    if probe is not None and probe.served:
        return None
    if until_probe is not None:
        return until_probe
    # What is rendered was written just now and is to be probed; or the namespace is in the way, which is not watched.
    return 0.0 if probe is None else UNWATCHED_FIX_REQUEUE
