"""Which state a builder is in, in the words of conditions: the first verdict that applies, worst first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from buildkit_operator.api import names, versions
from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.api.conditions import ConditionType
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.api.shared import TLSMode
from buildkit_operator.desired import environment
from buildkit_operator.desired.isolation import Confinement
from buildkit_operator.desired.metadata import Manifest
from buildkit_operator.desired.workload import STATEFUL_SET
from buildkit_operator.status.diagnosis import claims, runner_pods
from buildkit_operator.status.diagnosis.daemons import Finding, diagnose, diagnose_namespace
from buildkit_operator.status.observed import Counts, Observed

_BUILDS_WAIT: Final = "builds wait in their runner pods."
WITHOUT_TLS: Final = "TLS is disabled: whoever reaches the port can build, and build steps can drive the daemon."


@dataclass(frozen=True)
class Verdict:
    """The builder's state in the words of conditions."""

    ready: bool
    reason: Reason
    message: str
    reconciling: str | None = None
    """What is still going on, in a sentence; None when nothing is."""
    stalled: bool = False
    """Whether somebody must change something before anything can get better.

    A builder that is not ready is either reconciling or stalled: whoever waits for it learns whether that is of use.
    """


def judge(builder: BuildKitBuilder, observed: Observed) -> Verdict:
    """Return the first verdict that applies, worst first."""
    verdict = stalled(observed.problem) if observed.problem is not None else _judge(builder, observed)
    return _suspended(verdict, observed) if builder.spec.suspend else verdict


def _judge(builder: BuildKitBuilder, observed: Observed) -> Verdict:
    match builder.role:
        case Role.SIDECAR:
            return _judge_sidecar(builder, observed)
        case Role.CONSUMER:
            return _judge_consumer(observed)
        case Role.DAEMONS:
            return _judge_shared(builder, observed)


def _suspended(verdict: Verdict, observed: Observed) -> Verdict:
    """Return what the verdict becomes where the operator does nothing: Kubernetes goes on with what is there."""
    seen = (observed.workload, observed.trial, observed.grant, observed.problem)
    was_begun = any(found is not None for found in seen)
    how = verdict.message if was_begun else "Nothing was made of it so far: set spec.suspend to false."
    message = f"spec.suspend is true, so the operator changes nothing of this builder. {how}"
    if verdict.ready:
        return Verdict(ready=True, reason=Reason.SUSPENDED, message=message)
    goes_on = was_begun and not verdict.stalled
    return Verdict(
        ready=False,
        reason=Reason.SUSPENDED,
        message=message,
        reconciling=message if goes_on else None,
        stalled=not goes_on,
    )


def stalled(problem: TerminalError) -> Verdict:
    """Return the verdict on a builder that somebody must mend."""
    return Verdict(ready=False, reason=problem.reason, message=problem.message, stalled=True)


def _waiting(message: str, reason: Reason) -> Verdict:
    return Verdict(ready=False, reason=reason, message=message, reconciling=message)


def _failing(finding: Finding) -> Verdict:
    reconciling = None if finding.user_must_act else finding.message
    return Verdict(
        ready=False,
        reason=finding.reason,
        message=finding.message,
        reconciling=reconciling,
        stalled=finding.user_must_act,
    )


def _judge_sidecar(builder: BuildKitBuilder, observed: Observed) -> Verdict:
    """Return the verdict on injection: there need be no pod for it to be ready, and one sick pod is not all of them."""
    if observed.trial is None:
        message = observed.waiting_for or "What runner pods get is rendered; it is tried out next."
        return _waiting(message, Reason.PROGRESSING)
    in_the_way = observed.trial.finding
    if not observed.trial.served and in_the_way is not None:
        return _failing(in_the_way)
    finding = runner_pods.diagnose(observed.runners)
    if finding is not None and not runner_pods.counts(observed.runners)["ready"]:
        return _failing(finding)
    name = builder.metadata.name
    message = f"Pods of this namespace with the label {names.BUILDER_LABEL}={name} get a daemon of their own."
    remarks = [remark.message for remark in (in_the_way, finding) if remark is not None]
    caveats = _confinement_caveat(observed.confinement) + _proxy_caveat(builder)
    message = " ".join([message + caveats, *remarks])
    return Verdict(ready=True, reason=Reason.AVAILABLE, message=message)


def _judge_consumer(observed: Observed) -> Verdict:
    """Return the verdict on a builder that uses another's daemons: it is as well as that one is."""
    grant = observed.grant
    if grant is None:
        return _waiting(observed.waiting_for or "The provider is not looked at.", observed.waiting_reason)
    ready = grant.condition(ConditionType.READY)
    if ready.get("status") == "True":
        if ready["reason"] == Reason.SCALED_TO_ZERO:
            message = f"Builds run on {grant.name}, which is scaled to zero; until it is not, {_BUILDS_WAIT}"
            return Verdict(ready=True, reason=Reason.SCALED_TO_ZERO, message=message)
        return Verdict(ready=True, reason=Reason.AVAILABLE, message=f"Builds run on {grant.name}, which is ready.")
    message = f"Builds run on {grant.name}, which is not ready: {ready.get('reason', Reason.PROGRESSING)}."
    if grant.condition(ConditionType.STALLED):
        return Verdict(ready=False, reason=Reason.PROVIDER_NOT_READY, message=message, stalled=True)
    return _waiting(message, Reason.PROVIDER_NOT_READY)


def _judge_shared(builder: BuildKitBuilder, observed: Observed) -> Verdict:
    workload, wanted = observed.workload, builder.shared.replicas
    if observed.waiting_for is not None:
        return _waiting(observed.waiting_for, observed.waiting_reason)
    if workload is None:
        return _waiting("The daemon's objects are being made.", Reason.PROGRESSING)
    counts = Counts.of(workload)
    # While one is replaced there is one more than wanted.
    ready = min(counts.ready, wanted)
    count = f"{ready} of {wanted} {'daemon' if wanted == 1 else 'daemons'} ready."
    if wanted == 0 and counts.total == 0:
        message = f"Scaled to zero: no daemon runs until spec.shared.replicas is raised; until then {_BUILDS_WAIT}"
        return Verdict(ready=True, reason=Reason.SCALED_TO_ZERO, message=message)
    if counts.settled(wanted):
        return Verdict(ready=True, reason=Reason.AVAILABLE, message=f"{count}{_caveats(builder, observed)}")
    return _unsettled(counts, count, _finding(builder, workload, observed), _awaited(workload, observed))


def _finding(builder: BuildKitBuilder, workload: Manifest, observed: Observed) -> Finding | None:
    found = claims.diagnose(builder, observed.claims, observed.pods) or diagnose(builder, workload, observed.pods)
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
    return claims.waiting(observed.claims) or "Waiting for the daemon to answer."


def _unsettled(counts: Counts, count: str, finding: Finding | None, awaited: str) -> Verdict:
    """Return the verdict on daemons that are not all as they should be: some may serve all the same."""
    if counts.ready > 0:
        message = f"{count} {finding.message}" if finding else f"{count} {counts.updated} up to date."
        if finding is not None and finding.user_must_act:
            return Verdict(ready=True, reason=Reason.AVAILABLE, message=message, stalled=True)
        return Verdict(ready=True, reason=Reason.AVAILABLE, message=message, reconciling=message)
    if finding is not None:
        return _failing(finding)
    return _waiting(f"{count} {awaited}", Reason.PROGRESSING)


def _caveats(builder: BuildKitBuilder, observed: Observed) -> str:
    caveat = _confinement_caveat(observed.confinement) + _proxy_caveat(builder)
    if builder.shared.tls.mode is TLSMode.DISABLED:
        caveat += f" {WITHOUT_TLS}"
    return " ".join([caveat, *claims.remarks(builder, observed.claims)])


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
        f"Kubernetes {versions.UNMASKED_PROC}'s: raise pod-security.kubernetes.io/enforce-version to hide them."
    )
