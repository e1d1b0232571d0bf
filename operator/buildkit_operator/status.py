"""What a builder tells its users: conditions and fields, decided from its spec and what is seen of its objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from buildkit_operator import runners, volumes
from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder, Mode
from buildkit_operator.api.conditions import ConditionType, Problem, Reason
from buildkit_operator.api.shared import TLSMode
from buildkit_operator.desired import environment, network, paths
from buildkit_operator.desired.certificates import Certificates
from buildkit_operator.desired.claims import NO_CLAIMS, Claims
from buildkit_operator.desired.consumers import Borrowed, is_consumer
from buildkit_operator.desired.isolation import UNMASKED_PROC_MINOR, Confinement, PodSecurity
from buildkit_operator.desired.metadata import Manifest, selector_string
from buildkit_operator.desired.workload import STATEFUL_SET
from buildkit_operator.diagnosis import Finding, diagnose, diagnose_namespace

Status = dict[str, Any]


WITHOUT_TLS: Final = "TLS is disabled: whoever reaches the port can build, and build steps can drive the daemon."


@dataclass(frozen=True)
class Trial:
    """How a pod fared that the API server was asked to try: whether a runner pod would get its sidecar now."""

    served: bool
    """Whether it got the sidecar, as far as can be told."""
    finding: Finding | None = None
    """Why not; or, beside a sidecar that cannot be told, what was in the way."""


@dataclass(frozen=True)
class Observed:
    """What is seen of a builder's objects, after the reconcile did its part."""

    workload: Manifest | None = None
    """What runs the daemons of mode Shared: a Deployment, or a StatefulSet where their cache is on claims."""
    pods: Sequence[Manifest] = ()
    """Those of the builder's own daemons."""
    certificates: Certificates | None = None
    claims: Claims = NO_CLAIMS
    injection: Manifest | None = None
    """What runner pods get, as rendered now; None where it could not be, or is not to be changed."""
    confinement: Confinement | None = None
    enforced: PodSecurity | None = None
    """What the namespace enforces on pods; None where that was not asked."""
    trial: Trial | None = None
    """How a trial pod fared; None where none was tried."""
    runners: Sequence[Manifest] = ()
    """Runner pods that were given the builder."""
    borrowed: Borrowed | None = None
    """What a builder has of its provider, where it uses another's daemons."""
    problem: Problem | None = None
    waiting_for: str | None = None
    """What is in the way and will go by itself, in a sentence."""
    waiting_reason: Reason = Reason.PROGRESSING
    """The same in one word."""


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
    verdict = judge(builder, observed)
    conditions = [*_conditions(verdict), *_insecure(builder)]
    return _status(builder.metadata.generation, conditions, _facts(builder, observed, previous), previous, now)


def status_for_unreadable(generation: int, problem: Problem, previous: Status, now: datetime) -> Status:
    """Return the status of a builder whose spec does not fit this version of the operator."""
    kept = {"injection": previous["injection"]} if "injection" in previous else {}
    return _status(generation, _conditions(_stalled(problem)), kept, previous, now)


def differs_in_counts_only(status: Status, previous: Status) -> bool:
    """Tell whether only the numbers of runner pods have changed, which need not be told at once."""
    return status != previous and {**status, "pods": None} == {**previous, "pods": None} and "pods" in previous


def judge(builder: BuildKitBuilder, observed: Observed) -> Verdict:
    """Return the first verdict that applies, worst first."""
    if observed.problem is not None:
        verdict = _stalled(observed.problem)
    elif builder.spec.mode is Mode.SIDECAR:
        verdict = _judge_sidecar(builder, observed)
    elif is_consumer(builder):
        verdict = _judge_consumer(observed)
    else:
        verdict = _judge_shared(builder, observed)
    if builder.spec.suspend:
        message = f"spec.suspend is true, so the operator changes nothing of this builder. {verdict.message}"
        return Verdict(ready=verdict.ready, reason=Reason.SUSPENDED, message=message)
    return verdict


def _stalled(problem: Problem) -> Verdict:
    return Verdict(ready=False, reason=problem.reason, message=problem.message, stalled=True)


def _judge_sidecar(builder: BuildKitBuilder, observed: Observed) -> Verdict:
    """Return the verdict on injection: there need be no pod for it to be ready, and one sick pod is not all of them."""
    if observed.trial is None:
        message = observed.waiting_for or "What runner pods get is rendered; it is tried out next."
        return _waiting(message, Reason.PROGRESSING)
    in_the_way = observed.trial.finding
    if not observed.trial.served and in_the_way is not None:
        return _failing(in_the_way)
    finding = runners.diagnose(observed.runners)
    if finding is not None and not runners.counts(observed.runners)["ready"]:
        return _failing(finding)
    name = builder.metadata.name
    message = f"Pods of this namespace with the label {names.BUILDER_LABEL}={name} get a daemon of their own."
    remarks = [remark.message for remark in (in_the_way, finding) if remark is not None]
    caveats = _confinement_caveat(observed.confinement) + _proxy_caveat(builder)
    message = " ".join([message + caveats, *remarks])
    return Verdict(ready=True, reason=Reason.AVAILABLE, message=message)


def _proxy_caveat(builder: BuildKitBuilder) -> str:
    if not environment.leaves_cluster_to_proxy(builder):
        return ""
    return (
        " NO_PROXY comes from a Secret or ConfigMap, where the operator adds nothing: registries in the cluster are "
        "reached only if it lists .svc and the cluster's domain."
    )


def _confinement_caveat(confinement: Confinement | None) -> str:
    if confinement is None or not confinement.user_namespace or confinement.process_sandbox:
        return ""
    return (
        " Build steps can see the daemon's processes, as the namespace enforces Pod Security by rules older than "
        f"Kubernetes 1.{UNMASKED_PROC_MINOR}'s: raise pod-security.kubernetes.io/enforce-version to hide them."
    )


def _failing(finding: Finding) -> Verdict:
    reconciling = None if finding.needs_somebody else finding.message
    return Verdict(
        ready=False,
        reason=finding.reason,
        message=finding.message,
        reconciling=reconciling,
        stalled=finding.needs_somebody,
    )


def _judge_consumer(observed: Observed) -> Verdict:
    """Return the verdict on a builder that uses another's daemons: it is ready when that one is."""
    borrowed = observed.borrowed
    if borrowed is None:
        return _waiting(observed.waiting_for or "The provider is not looked at.", observed.waiting_reason)
    ready = borrowed.condition(ConditionType.READY)
    if ready.get("status") == "True":
        return Verdict(ready=True, reason=Reason.AVAILABLE, message=f"Builds run on {borrowed.name}, which is ready.")
    message = f"Builds run on {borrowed.name}, which is not ready: {ready.get('reason', Reason.PROGRESSING)}."
    going_on = message if borrowed.condition(ConditionType.RECONCILING) else None
    return Verdict(ready=False, reason=Reason.PROVIDER_NOT_READY, message=message, reconciling=going_on)


def _judge_shared(builder: BuildKitBuilder, observed: Observed) -> Verdict:
    workload, wanted = observed.workload, builder.shared.replicas
    if observed.waiting_for is not None:
        return _waiting(observed.waiting_for, observed.waiting_reason)
    if workload is None:
        return _waiting("The daemon's objects are being made.", Reason.PROGRESSING)
    counts = _Counts.of(workload)
    # While one is replaced there is one more than wanted.
    ready = min(counts.ready, wanted)
    count = f"{ready} of {wanted} {'daemon' if wanted == 1 else 'daemons'} ready."
    if wanted == 0 and counts.total == 0:
        message = (
            "Scaled to zero: no daemon runs until spec.shared.replicas is raised; "
            "until then builds wait in their runner pods."
        )
        return Verdict(ready=False, reason=Reason.SCALED_TO_ZERO, message=message)
    if counts.settled(wanted):
        return Verdict(ready=True, reason=Reason.AVAILABLE, message=f"{count}{_caveats(builder, observed)}")
    return _unsettled(counts, count, _finding(builder, workload, observed), _awaited(workload, observed))


def _finding(builder: BuildKitBuilder, workload: Manifest, observed: Observed) -> Finding | None:
    found = volumes.diagnose(builder, observed.claims, observed.pods) or diagnose(builder, workload, observed.pods)
    if found is not None or observed.pods or workload["kind"] != STATEFUL_SET or observed.enforced is None:
        return found
    # That its pods are refused is told by a Deployment in its status, by a StatefulSet in events alone.
    return diagnose_namespace(builder, observed.enforced)


def _awaited(workload: Manifest, observed: Observed) -> str:
    """Return what daemons that nothing is known to be wrong with wait for."""
    if workload["kind"] == STATEFUL_SET and not observed.pods:
        metadata = workload["metadata"]
        told = f"kubectl describe -n {metadata['namespace']} statefulset {metadata['name']}"
        return f"Waiting for the first pod; should none come, this tells why: {told}"
    return volumes.waiting(observed.claims) or "Waiting for the daemon to answer."


def _unsettled(counts: _Counts, count: str, finding: Finding | None, awaited: str) -> Verdict:
    """Return the verdict on daemons that are not all as they should be: some may serve all the same."""
    if counts.ready > 0:
        going_on = f"{count} {finding.message}" if finding else f"{count} {counts.updated} up to date."
        return Verdict(ready=True, reason=Reason.AVAILABLE, message=going_on, reconciling=going_on)
    if finding is not None:
        return _failing(finding)
    return _waiting(f"{count} {awaited}", Reason.PROGRESSING)


def _waiting(message: str, reason: Reason) -> Verdict:
    return Verdict(ready=False, reason=reason, message=message, reconciling=message)


def _caveats(builder: BuildKitBuilder, observed: Observed) -> str:
    caveat = _confinement_caveat(observed.confinement) + _proxy_caveat(builder)
    if builder.shared.tls.mode is TLSMode.DISABLED:
        caveat += f" {WITHOUT_TLS}"
    return " ".join([caveat, *volumes.remarks(builder, observed.claims)])


@dataclass(frozen=True)
class _Counts:
    """How many daemons a Deployment or StatefulSet has, in which state.

    A StatefulSet's updatedReplicas are the pods of its updateRevision, also once that is rolled out.
    """

    total: int
    updated: int
    ready: int
    seen: bool

    @classmethod
    def of(cls, workload: Manifest) -> _Counts:
        status = workload.get("status", {})
        return cls(
            total=status.get("replicas", 0),
            updated=status.get("updatedReplicas", 0),
            ready=status.get("readyReplicas", 0),
            seen=status.get("observedGeneration", 0) >= workload["metadata"]["generation"],
        )

    def settled(self, wanted: int) -> bool:
        return self.seen and self.ready == self.updated == self.total == wanted


def _status(
    generation: int, conditions: list[dict[str, str]], facts: Status, previous: Status, now: datetime
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
        **facts,
    }


def _conditions(verdict: Verdict) -> list[dict[str, str]]:
    return [_ready(verdict), *_progress(verdict)]


def _ready(verdict: Verdict) -> dict[str, str]:
    return _condition(ConditionType.READY, "True" if verdict.ready else "False", verdict.reason, verdict.message)


def _progress(verdict: Verdict) -> list[dict[str, str]]:
    """Return the conditions that are present only while they are true, as kstatus expects."""
    if verdict.stalled:
        return [_condition(ConditionType.STALLED, "True", verdict.reason, verdict.message)]
    if verdict.reconciling is not None:
        return [_condition(ConditionType.RECONCILING, "True", Reason.PROGRESSING, verdict.reconciling)]
    return []


def _insecure(builder: BuildKitBuilder) -> list[dict[str, str]]:
    """Return the condition that a builder goes without TLS, whatever else is the matter with it."""
    if builder.spec.mode is not Mode.SHARED or builder.shared.tls.mode is not TLSMode.DISABLED:
        return []
    return [_condition(ConditionType.INSECURE, "True", Reason.TLS_DISABLED, WITHOUT_TLS)]


def _condition(kind: ConditionType, status: str, reason: Reason, message: str) -> dict[str, str]:
    return {"type": kind.value, "status": status, "reason": reason.value, "message": message}


def _facts(builder: BuildKitBuilder, observed: Observed, previous: Status) -> Status:
    if builder.spec.mode is Mode.SIDECAR:
        return _facts_of_sidecar(builder, observed, previous)
    if is_consumer(builder):
        return _facts_of_consumer(builder, observed, previous)
    return _facts_of_shared(builder, observed, previous)


def _facts_of_sidecar(_builder: BuildKitBuilder, observed: Observed, previous: Status) -> Status:
    """Return what runner pods get and how many have it; what they get stays as it was while it cannot be rendered."""
    injection = observed.injection or previous.get("injection")
    if injection is None:
        return {}
    return {
        "endpoint": paths.SOCKET,
        "image": injection["initContainers"][0]["image"],
        "pods": runners.counts(observed.runners),
        "injection": injection,
    }


def _connection(observed: Observed, previous: Status) -> Status:
    """Return what runner pods of a Shared builder get and how many have it."""
    injection = observed.injection or previous.get("injection")
    return {} if injection is None else {"pods": runners.counts(observed.runners), "injection": injection}


def _facts_of_shared(builder: BuildKitBuilder, observed: Observed, previous: Status) -> Status:
    """Return which objects exist and how to reach the daemon."""
    facts = _connection(observed, previous)
    workload = observed.workload
    if workload is None:
        return facts
    counts = _Counts.of(workload)
    facts |= {
        "endpoint": network.endpoint(builder),
        "connectionSecretName": names.connection_secret(builder.metadata.name),
        "image": workload["spec"]["template"]["spec"]["containers"][0]["image"],
        "replicas": counts.total,
        "readyReplicas": counts.ready,
        "selector": selector_string(builder),
    }
    if observed.certificates is not None:
        facts["certificateNotAfterTime"] = timestamp(observed.certificates.not_after)
    return facts


_FACTS_OF_CONSUMER: Final = ("endpoint", "connectionSecretName", "certificateNotAfterTime")


def _facts_of_consumer(builder: BuildKitBuilder, observed: Observed, previous: Status) -> Status:
    """Return how to reach the provider's daemons; it stays as it was while the provider will not have it."""
    facts: Status = {key: previous[key] for key in _FACTS_OF_CONSUMER if key in previous}
    facts |= _connection(observed, previous)
    if observed.borrowed is not None:
        facts |= {
            "endpoint": network.endpoint(observed.borrowed.provider),
            "connectionSecretName": names.connection_secret(builder.metadata.name),
            "certificateNotAfterTime": timestamp(observed.borrowed.not_after),
        }
    return facts


def _transition_time(condition: dict[str, str], before: dict[str, Any] | None, now: datetime) -> str:
    if before is not None and before["status"] == condition["status"]:
        return str(before["lastTransitionTime"])
    return timestamp(now)


def timestamp(moment: datetime) -> str:
    """Return a time as the API server writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def condition_of(status: Status, kind: ConditionType = ConditionType.READY) -> Manifest:
    """Return a condition that stands in a status, empty where there is none of that type."""
    conditions: list[Manifest] = status.get("conditions", [])
    return next((condition for condition in conditions if condition["type"] == kind), {})
