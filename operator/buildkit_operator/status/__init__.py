"""Status of a builder: conditions and fields, decided from its spec and the observed state of its objects. No I/O.

Status is made of what is observed, and not of the previous status, but in six places, where that is the rule:

- what is rendered for runner pods stays in status.injection while it cannot be rendered again, also for a spec that
  cannot be read: pods go on to be injected (status_fields, status_for_unreadable);
- how a consumer reaches its provider stays while the provider gives nothing or the consumer is suspended, as its
  connection Secret does (status_fields);
- how many daemons autoscaling wants, and since when fewer would do, outlives the operator's process
  (desired/autoscaling.py);
- lastTransitionTime stays while a condition's status does, as the API conventions have it;
- a Sidecar is probed only once status.injection is what was rendered, as engines read it there: a change takes two
  reconciles, one that writes it and one that probes it (controller/modes/sidecar.py);
- a builder whose status says that runner pods are served is not probed at once after a restart of the operator, which
  then makes no request for a builder at rest; and where it says why they are not, the first probe is believed, so that
  the restart changes nothing of it (controller/modes/__init__.py).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.api.conditions import ConditionType, explained, fitted
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.api.shared import TLSMode
from buildkit_operator.kube.manifests import condition, timestamp
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status.observed import (
    ConsumerObserved,
    DaemonsObserved,
    Observed,
    Pending,
    ProbeResult,
    SidecarObserved,
    nothing_observed,
)
from buildkit_operator.status.status_fields import Status, status_fields
from buildkit_operator.status.verdict import WITHOUT_TLS, Verdict, blocked, judge, stalled

__all__ = [
    "ConsumerObserved",
    "DaemonsObserved",
    "Observed",
    "Pending",
    "ProbeResult",
    "SidecarObserved",
    "Status",
    "Verdict",
    "condition_of",
    "differs_in_counts_only",
    "judge",
    "nothing_observed",
    "status_for",
    "status_for_failed",
    "status_for_unreadable",
]

MAX_MESSAGE: Final = 32768
"""Longest message of a condition; the schema counts characters, which are never more than bytes."""


def status_for(builder: BuildKitBuilder, observed: Observed, previous: Status, now: datetime) -> Status:
    """Return the builder's whole status; `previous` gives the times of conditions that have not changed."""
    verdict = judge(builder, observed, now)
    conditions = [*_conditions(verdict), *_insecure(builder)]
    return _status(builder.metadata.generation, conditions, status_fields(builder, observed, previous), previous, now)


def status_for_unreadable(generation: int, error: TerminalError, previous: Status, now: datetime) -> Status:
    """Return the status of a builder whose spec does not fit this version of the operator."""
    kept = {"injection": previous["injection"]} if "injection" in previous else {}
    return _status(generation, _conditions(stalled(error)), kept, previous, now)


def status_for_failed(generation: int, problem: TerminalError | Pending, previous: Status, now: datetime) -> Status:
    """Return the status of a builder whose reconcile failed before anything was observed: what it told stays.

    What is expected to pass is told beside the verdict there was of the same spec.
    """
    fields = {name: value for name, value in previous.items() if name not in {"conditions", "observedGeneration"}}
    conditions = _conditions(blocked(problem))
    if isinstance(problem, Pending) and previous.get("observedGeneration") == generation:
        kept = [c for c in previous["conditions"] if c["type"] != ConditionType.RECONCILING]
        is_stalled = any(condition["type"] == ConditionType.STALLED for condition in kept)
        conditions = kept if is_stalled else [*kept, *conditions[1:]]
    return _status(generation, conditions, fields, previous, now)


def differs_in_counts_only(status: Status, previous: Status) -> bool:
    """Tell whether only the numbers of runner pods have changed, which need not be told at once."""
    return status != previous and {**status, "pods": None} == {**previous, "pods": None} and "pods" in previous


def condition_of(status: Status, kind: ConditionType = ConditionType.READY) -> Manifest:
    """Return a condition that stands in a status, empty where there is none of that type."""
    return condition({"status": status}, kind)


def _status(
    generation: int, conditions: list[dict[str, str]], fields: Status, previous: Status, now: datetime
) -> Status:
    before = {condition["type"]: condition for condition in previous.get("conditions", ())}
    return {
        "observedGeneration": generation,
        "conditions": [
            {
                **condition,
                "observedGeneration": generation,
                "lastTransitionTime": _transition_time(condition, before.get(condition["type"]), now),
            }
            for condition in conditions
        ],
        **fields,
    }


def _conditions(verdict: Verdict) -> list[dict[str, str]]:
    return [_ready(verdict), *_progress(verdict)]


def _ready(verdict: Verdict) -> dict[str, str]:
    message = explained(verdict.reason, verdict.message)
    return _condition(ConditionType.READY, "True" if verdict.ready else "False", verdict.reason, message)


def _progress(verdict: Verdict) -> list[dict[str, str]]:
    """Return the conditions that are present only while they are true, as kstatus expects."""
    if verdict.stalled:
        return [_condition(ConditionType.STALLED, "True", verdict.reason, explained(verdict.reason, verdict.message))]
    if verdict.reconciling is not None:
        message = explained(verdict.reason, verdict.reconciling)
        return [_condition(ConditionType.RECONCILING, "True", Reason.PROGRESSING, message)]
    return []


def _insecure(builder: BuildKitBuilder) -> list[dict[str, str]]:
    """Return the condition that a builder goes without TLS, whatever else is the matter with it."""
    if builder.role is not Role.DAEMONS or builder.shared.tls.mode is not TLSMode.DISABLED:
        return []
    return [_condition(ConditionType.INSECURE, "True", Reason.TLS_DISABLED, WITHOUT_TLS)]


def _condition(kind: ConditionType, status: str, reason: Reason, message: str) -> dict[str, str]:
    return {"type": kind.value, "status": status, "reason": reason.value, "message": fitted(message, MAX_MESSAGE)}


def _transition_time(condition: dict[str, str], before: dict[str, Any] | None, now: datetime) -> str:
    if before is not None and before["status"] == condition["status"]:
        return str(before["lastTransitionTime"])
    return timestamp(now)
