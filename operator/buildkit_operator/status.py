"""What a builder tells its users: conditions and fields, decided from its spec and what is seen of its objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder, Mode, TLSMode
from buildkit_operator.api.conditions import ConditionType, Problem, Reason
from buildkit_operator.desired import network
from buildkit_operator.desired.certificates import Certificates
from buildkit_operator.desired.metadata import Manifest, selector_string
from buildkit_operator.diagnosis import Finding, diagnose

Status = dict[str, Any]


@dataclass(frozen=True)
class Observed:
    """What is seen of a builder's objects, after the reconcile did its part."""

    deployment: Manifest | None = None
    pods: Sequence[Manifest] = ()
    certificates: Certificates | None = None
    problem: Problem | None = None
    waiting_for: str | None = None
    """What is in the way and will go by itself, in a sentence."""


@dataclass(frozen=True)
class Verdict:
    """The builder's state in the words of conditions."""

    ready: bool
    reason: Reason
    message: str
    reconciling: str | None = None
    """What is still going on, in a sentence; None when nothing is."""
    stalled: bool = False
    """Whether somebody must change something before anything can get better."""


def status_for(builder: BuildKitBuilder, observed: Observed, previous: Status, now: datetime) -> Status:
    """Return the builder's whole status; `previous` gives the times of conditions that have not changed."""
    return _status(builder.metadata.generation, judge(builder, observed), _facts(builder, observed), previous, now)


def status_for_unreadable(generation: int, problem: Problem, previous: Status, now: datetime) -> Status:
    """Return the status of a builder whose spec does not fit this version of the operator."""
    return _status(generation, _stalled(problem), {}, previous, now)


def judge(builder: BuildKitBuilder, observed: Observed) -> Verdict:
    """Return the first verdict that applies, worst first."""
    if observed.problem is not None:
        verdict = _stalled(observed.problem)
    elif builder.spec.mode is Mode.SIDECAR:
        verdict = _stalled(_NO_SIDECAR)
    else:
        verdict = _judge_shared(builder, observed)
    if builder.spec.suspend:
        message = f"spec.suspend is true, so the operator changes nothing of this builder. {verdict.message}"
        return Verdict(ready=verdict.ready, reason=Reason.SUSPENDED, message=message)
    return verdict


_NO_SIDECAR = Problem(
    Reason.SIDECAR_NOT_AVAILABLE,
    "Mode Sidecar is not available yet: this version of the operator does not inject. Use mode Shared until it does.",
)


def _stalled(problem: Problem) -> Verdict:
    return Verdict(ready=False, reason=problem.reason, message=problem.message, stalled=True)


def _judge_shared(builder: BuildKitBuilder, observed: Observed) -> Verdict:
    deployment, wanted = observed.deployment, builder.shared.replicas
    if deployment is None:
        message = observed.waiting_for or "The daemon's objects are being made."
        return Verdict(ready=False, reason=Reason.PROGRESSING, message=message, reconciling=message)
    counts = _Counts.of(deployment)
    # While one is replaced there is one more than wanted.
    ready = min(counts.ready, wanted)
    count = f"{ready} of {wanted} {'daemon' if wanted == 1 else 'daemons'} ready."
    if wanted == 0 and counts.total == 0:
        message = "Scaled to zero: no daemon runs until spec.shared.replicas is raised."
        return Verdict(ready=False, reason=Reason.SCALED_TO_ZERO, message=message)
    if counts.settled(wanted):
        return Verdict(ready=True, reason=Reason.AVAILABLE, message=f"{count}{_caveat(builder)}")
    return _unsettled(counts, count, diagnose(deployment, observed.pods))


def _unsettled(counts: _Counts, count: str, finding: Finding | None) -> Verdict:
    """Return the verdict on daemons that are not all as they should be: some may serve all the same."""
    if counts.ready > 0:
        going_on = f"{count} {finding.message}" if finding else f"{count} {counts.updated} up to date."
        return Verdict(ready=True, reason=Reason.AVAILABLE, message=going_on, reconciling=going_on)
    if finding is not None:
        reconciling = None if finding.needs_somebody else finding.message
        return Verdict(
            ready=False,
            reason=finding.reason,
            message=finding.message,
            reconciling=reconciling,
            stalled=finding.needs_somebody,
        )
    message = f"{count} Waiting for the daemon to answer."
    return Verdict(ready=False, reason=Reason.PROGRESSING, message=message, reconciling=message)


def _caveat(builder: BuildKitBuilder) -> str:
    if builder.shared.tls.mode is TLSMode.DISABLED:
        return " TLS is disabled: whoever reaches the port can build, and build steps can drive the daemon."
    return ""


@dataclass(frozen=True)
class _Counts:
    """How many daemons a Deployment has, in which state."""

    total: int
    updated: int
    ready: int
    seen: bool

    @classmethod
    def of(cls, deployment: Manifest) -> _Counts:
        status = deployment.get("status", {})
        return cls(
            total=status.get("replicas", 0),
            updated=status.get("updatedReplicas", 0),
            ready=status.get("readyReplicas", 0),
            seen=status.get("observedGeneration", 0) >= deployment["metadata"]["generation"],
        )

    def settled(self, wanted: int) -> bool:
        return self.seen and self.ready == self.updated == self.total == wanted


def _status(generation: int, verdict: Verdict, facts: Status, previous: Status, now: datetime) -> Status:
    before = {condition["type"]: condition for condition in previous.get("conditions", ())}
    return {
        "observedGeneration": generation,
        "conditions": [
            {
                **condition,
                "observedGeneration": generation,
                "lastTransitionTime": _transition_time(condition, before.get(condition["type"]), now),
            }
            for condition in (_ready(verdict), *_progress(verdict))
        ],
        **facts,
    }


def _ready(verdict: Verdict) -> dict[str, str]:
    return _condition(ConditionType.READY, "True" if verdict.ready else "False", verdict.reason, verdict.message)


def _progress(verdict: Verdict) -> list[dict[str, str]]:
    """Return the conditions that are present only while they are true, as kstatus expects."""
    if verdict.stalled:
        return [_condition(ConditionType.STALLED, "True", verdict.reason, verdict.message)]
    if verdict.reconciling is not None:
        return [_condition(ConditionType.RECONCILING, "True", Reason.PROGRESSING, verdict.reconciling)]
    return []


def _condition(kind: ConditionType, status: str, reason: Reason, message: str) -> dict[str, str]:
    return {"type": kind.value, "status": status, "reason": reason.value, "message": message}


def _facts(builder: BuildKitBuilder, observed: Observed) -> Status:
    """Return the fields beside the conditions: what exists and how to reach it."""
    deployment = observed.deployment
    if deployment is None or builder.spec.mode is not Mode.SHARED:
        return {}
    counts = _Counts.of(deployment)
    facts: Status = {
        "endpoint": network.endpoint(builder),
        "connectionSecretName": names.connection_secret(builder.metadata.name),
        "image": deployment["spec"]["template"]["spec"]["containers"][0]["image"],
        "replicas": counts.total,
        "readyReplicas": counts.ready,
        "selector": selector_string(builder),
    }
    if observed.certificates is not None:
        facts["certificateNotAfterTime"] = timestamp(observed.certificates.not_after)
    return facts


def _transition_time(condition: dict[str, str], before: dict[str, Any] | None, now: datetime) -> str:
    if before is not None and before["status"] == condition["status"]:
        return str(before["lastTransitionTime"])
    return timestamp(now)


def timestamp(moment: datetime) -> str:
    """Return a time as the API server writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
