"""Verdict on a builder in the words of conditions, by its role: the first that applies, worst first. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Final

from buildkit_operator.api import names, versions
from buildkit_operator.api.architectures import Architecture
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.conditions import ConditionType
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.api.shared import TLSMode
from buildkit_operator.desired import environment
from buildkit_operator.desired.claims import Claims
from buildkit_operator.desired.isolation import Confinement
from buildkit_operator.desired.workload import STATEFUL_SET
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status.diagnosis import claims, ineffective, runner_pods, terminating
from buildkit_operator.status.diagnosis.daemons import Finding, diagnose, diagnose_namespace, workload_of
from buildkit_operator.status.observed import (
    ConsumerObserved,
    Counts,
    DaemonsObserved,
    Observed,
    Pending,
    SidecarObserved,
    has_begun,
)

_BUILDS_WAIT: Final = "builds wait in their runner pods."
WITHOUT_TLS: Final = "TLS is disabled: anyone who reaches the port can build, and build steps can drive the daemon."


@dataclass(frozen=True)
class Verdict:
    """The builder's state in the words of conditions."""

    ready: bool
    reason: Reason
    message: str
    reconciling: str | None = None
    """What is still going on, in a sentence; None when nothing is."""
    stalled: bool = False
    """Whether a user must act before anything can get better.

    A builder that is not ready is either reconciling or stalled: whoever waits for it learns whether that is of use.
    """


def judge(builder: BuildKitBuilder, observed: Observed, now: datetime | None = None) -> Verdict:
    """Return the verdict on a builder by what is observed of it; without a time, nothing is overdue."""
    verdict = _by_role(builder, observed, now) if observed.blocked is None else blocked(observed.blocked)
    return _suspended(verdict, observed) if builder.spec.suspend else verdict


def blocked(problem: TerminalError | Pending) -> Verdict:
    """Return the verdict on a builder that something keeps the operator from reconciling."""
    match problem:
        case TerminalError():
            return stalled(problem)
        case Pending():
            return _waiting(problem.message, problem.reason)


def _by_role(builder: BuildKitBuilder, observed: Observed, now: datetime | None) -> Verdict:
    match observed:
        case SidecarObserved():
            return _judge_sidecar(builder, observed)
        case DaemonsObserved():
            return _judge_daemons(builder, observed, now)
        case ConsumerObserved():
            return _judge_consumer(builder, observed)


def _suspended(verdict: Verdict, observed: Observed) -> Verdict:
    """Return what the verdict becomes where the operator changes nothing: Kubernetes goes on with what is there."""
    was_begun = has_begun(observed)
    how = verdict.message if was_begun else "Nothing was made of it so far: set spec.suspend to false."
    message = f"spec.suspend is true, so the operator changes nothing of this builder but certificates. {how}"
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


def stalled(error: TerminalError) -> Verdict:
    """Return the verdict on a builder whose user must act."""
    return Verdict(ready=False, reason=error.reason, message=error.message, stalled=True)


def _waiting(message: str, reason: Reason = Reason.PROGRESSING) -> Verdict:
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


def _judge_sidecar(builder: BuildKitBuilder, observed: SidecarObserved) -> Verdict:
    """Return the verdict on injection: there need be no pod for it to be ready, and one sick pod is not all of them."""
    if observed.probe is None:
        return _waiting("What runner pods get is rendered; it is tried out next.")
    in_the_way = observed.probe.finding
    if not observed.probe.served and in_the_way is not None:
        return _failing(in_the_way)
    decisive = runner_pods.decisive(observed.runners, observed.injection) if observed.injection is not None else None
    if decisive is not None:
        return _failing(decisive)
    finding = runner_pods.diagnose(observed.runners)
    name = builder.metadata.name
    message = f"Pods of this namespace with the label {names.BUILDER_LABEL}={name} get a daemon of their own."
    remarks = [remark.message for remark in (in_the_way, finding) if remark is not None]
    remarks += _ineffective(builder, observed)
    caveats = _confinement_caveat(observed.confinement) + _proxy_caveat(builder)
    message = " ".join([message + caveats, *remarks])
    return Verdict(ready=True, reason=Reason.AVAILABLE, message=message)


def _refused_runners(observed: Observed) -> Verdict | None:
    """Return the verdict on a builder whose every runner pod is refused for the connector in it."""
    probe = observed.probe
    return _failing(probe.finding) if probe is not None and not probe.served and probe.finding is not None else None


def _untried(observed: Observed) -> str:
    """Return the remark that what runner pods get could not be tried, and why."""
    return f" {observed.probe.finding.message}" if observed.probe is not None and observed.probe.finding else ""


def _judge_consumer(builder: BuildKitBuilder, observed: ConsumerObserved) -> Verdict:
    """Return the verdict on a builder that uses another's daemons: it is as well as that one is."""
    grant = observed.grant
    if grant is None:
        return _waiting("The provider is not looked at.")
    if (refused := _refused_runners(observed)) is not None:
        return refused
    ready = grant.condition(ConditionType.READY)
    if ready.get("status") == "True":
        if ready["reason"] == Reason.SCALED_TO_ZERO:
            message = f"Builds run on {grant.name}, which is scaled to zero; until it is not, {_BUILDS_WAIT}"
            return Verdict(ready=True, reason=Reason.SCALED_TO_ZERO, message=message)
        told = [f"Builds run on {grant.name}, which is ready.", *_ineffective(builder, observed)]
        message = " ".join(told) + _untried(observed)
        return Verdict(ready=True, reason=Reason.AVAILABLE, message=message)
    message = f"Builds run on {grant.name}, which is not ready: {ready.get('reason', Reason.PROGRESSING)}."
    if grant.condition(ConditionType.STALLED):
        return Verdict(ready=False, reason=Reason.PROVIDER_NOT_READY, message=message, stalled=True)
    return _waiting(message, Reason.PROVIDER_NOT_READY)


@dataclass(frozen=True)
class _Daemons:
    """Daemons of the builder's own, of one architecture where it says several, whose workload is there."""

    builder: BuildKitBuilder
    observed: DaemonsObserved
    workload: Manifest
    now: datetime | None
    architecture: Architecture | None = None

    @property
    def wanted(self) -> int:
        return self.builder.shared.replicas

    @property
    def count(self) -> str:
        """How many are ready, in a sentence; while one is replaced there is one more than wanted."""
        ready = min(self.counts.ready, self.wanted)
        return f"{ready} of {self.wanted} {'daemon' if self.wanted == 1 else 'daemons'} ready."

    @cached_property
    def counts(self) -> Counts:
        return Counts.of(self.workload)

    @cached_property
    def pods(self) -> Sequence[Manifest]:
        """Those of the workload; of the first one, those that are left over of none as well."""
        listed = self.builder.shared.each_architecture
        if len(listed) == 1:
            return self.observed.pods
        by_name = {names.daemon(self.builder.metadata.name, each): each for each in listed}
        return [pod for pod in self.observed.pods if by_name.get(str(workload_of(pod)), listed[0]) == self.architecture]

    @cached_property
    def claims(self) -> Claims:
        return self.observed.claims.of(self.name)

    @property
    def name(self) -> str:
        return names.daemon(self.builder.metadata.name, self.architecture)

    @cached_property
    def held(self) -> Finding | None:
        """What holds the first pod that should have gone."""
        return next(terminating.findings(self.pods, self.now), None) if self.now is not None else None

    @cached_property
    def finding(self) -> Finding | None:
        """What is wrong with them, if anything is found."""
        builder, observed = self.builder, self.observed
        found = claims.diagnose(builder, self.claims, self.pods)
        found = found or diagnose(builder, self.workload, self.pods)
        found = found or observed.refusals.get(self.name) or self.held
        if found is not None and found.reason is Reason.VOLUME_FULL:
            # Whether it grows, and why not.
            found = Finding(found.reason, " ".join([found.message, *claims.remarks(builder, self.claims)]))
        if found is not None or self.pods or self.workload["kind"] != STATEFUL_SET or observed.enforced is None:
            return found
        # That its pods are refused is told by a Deployment in its status, by a StatefulSet in events alone.
        return diagnose_namespace(builder, observed.enforced)


def _judge_daemons(builder: BuildKitBuilder, observed: DaemonsObserved, now: datetime | None) -> Verdict:
    live = {workload["metadata"]["name"]: workload for workload in observed.workloads}
    wanted = {each: names.daemon(builder.metadata.name, each) for each in builder.shared.each_architecture}
    if not set(wanted.values()) <= set(live):
        return _waiting("The daemon's objects are being made.")
    if (refused := _refused_runners(observed)) is not None:
        return refused
    verdict = _joined([_Daemons(builder, observed, live[name], now, each) for each, name in wanted.items()])
    if verdict.reason is not Reason.AVAILABLE or verdict.stalled or verdict.reconciling is not None:
        return verdict
    return replace(verdict, message=verdict.message + _caveats(builder, observed))


def _joined(parts: Sequence[_Daemons]) -> Verdict:
    """Return the worst of the verdicts on all architectures, in words on each; what holds of several is said once."""
    verdicts = [next(found for check in _DAEMONS_CHAIN if (found := check(part)) is not None) for part in parts]
    worst = min(verdicts, key=_badness)
    if len(parts) == 1 or worst.reason is Reason.SCALED_TO_ZERO:
        return worst
    said: list[str] = []
    for part, verdict in zip(parts, verdicts, strict=True):
        remark = verdict.message.removeprefix(part.count).strip()
        is_told = any(remark in sentence for sentence in said)
        said.append(f"{part.architecture}: {part.count}" + (f" {remark}" if remark and not is_told else ""))
    message = " ".join(said)
    return replace(worst, message=message, reconciling=None if worst.reconciling is None else message)


def _badness(verdict: Verdict) -> tuple[bool, ...]:
    """Return a key by which the worst verdict comes first; something that was found before a mere start."""
    return verdict.ready, not verdict.stalled, verdict.reconciling is None, verdict.reason is Reason.PROGRESSING


def _scaled_to_zero(daemons: _Daemons) -> Verdict | None:
    if daemons.wanted or daemons.counts.total:
        return None
    until = "spec.shared.replicas is raised" if daemons.builder.shared.autoscaling is None else "a runner pod comes"
    message = f"Scaled to zero: no daemon runs until {until}; until then {_BUILDS_WAIT}"
    return Verdict(ready=True, reason=Reason.SCALED_TO_ZERO, message=message)


def _all_ready(daemons: _Daemons) -> Verdict | None:
    if not daemons.counts.settled(daemons.wanted):
        return None
    held = f" {daemons.held.message}" if daemons.held is not None else ""
    message = f"{daemons.count}{held}"
    return Verdict(ready=True, reason=Reason.AVAILABLE, message=message)


def _some_ready(daemons: _Daemons) -> Verdict | None:
    if not daemons.counts.ready:
        return None
    finding = daemons.finding
    message = f"{daemons.count} {finding.message if finding else f'{daemons.counts.updated} up to date.'}"
    if finding is not None and finding.user_must_act:
        return Verdict(ready=True, reason=Reason.AVAILABLE, message=message, stalled=True)
    return Verdict(ready=True, reason=Reason.AVAILABLE, message=message, reconciling=message)


def _none_can_run(daemons: _Daemons) -> Verdict | None:
    return _failing(daemons.finding) if daemons.finding is not None else None


def _starting(daemons: _Daemons) -> Verdict:
    return _waiting(f"{daemons.count} {_awaited(daemons)}")


_DAEMONS_CHAIN: Final[tuple[Callable[[_Daemons], Verdict | None], ...]] = (
    _scaled_to_zero,
    _all_ready,  # and none of an older revision
    _some_ready,  # a rollout goes on, or something is wrong with the others
    _none_can_run,  # something is wrong, and it was found
    _starting,  # nothing is known to be wrong
)


def _awaited(daemons: _Daemons) -> str:
    """Return what daemons that nothing is known to be wrong with wait for."""
    if daemons.workload["kind"] == STATEFUL_SET and not daemons.pods:
        metadata = daemons.workload["metadata"]
        told = f"kubectl describe -n {metadata['namespace']} statefulset {metadata['name']}"
        return f"Waiting for the first pod; should none come, this tells why: {told}"
    return claims.waiting(daemons.claims) or "Waiting for the daemon to answer."


def _caveats(builder: BuildKitBuilder, observed: DaemonsObserved) -> str:
    caveat = _confinement_caveat(observed.confinement) + _proxy_caveat(builder)
    if builder.shared.tls.mode is TLSMode.DISABLED:
        caveat += f" {WITHOUT_TLS}"
    told = [caveat, *claims.remarks(builder, observed.claims), *_ineffective(builder, observed)]
    return " ".join(told) + _untried(observed)


def _ineffective(builder: BuildKitBuilder, observed: Observed) -> list[str]:
    return list(ineffective.remarks(builder, observed.runners, picks_pods=observed.picks_pods))


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
