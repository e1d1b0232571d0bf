"""Observed state of a builder, a union by its role: what verdicts and status fields are made of. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from buildkit_operator.api.builder import Role
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.desired.autoscaling import Scaling
from buildkit_operator.desired.certificates import Certificates
from buildkit_operator.desired.claims import NO_CLAIMS, Claims
from buildkit_operator.desired.consumers import Grant
from buildkit_operator.desired.isolation import Confinement, PodSecurity
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status.diagnosis.daemons import Finding


@dataclass(frozen=True)
class Pending:
    """Something that keeps a reconcile from its end and passes by itself."""

    reason: Reason
    message: str
    """A sentence that names what is waited for."""


@dataclass(frozen=True)
class ProbeResult:
    """The result of an admission dry-run probe: whether a runner pod would get its sidecar now."""

    served: bool
    """Whether the pod got the sidecar, as far as can be told."""
    finding: Finding | None = None
    """Why not; or, beside a sidecar that cannot be told, what was in the way."""
    is_current: bool = True
    """Whether the engine was seen to know what is rendered now: it hears of it a moment after it was written."""


@dataclass(frozen=True)
class Counts:
    """How many daemons a Deployment or StatefulSet has, in which state.

    A StatefulSet's updatedReplicas are the pods of its updateRevision, also once that is rolled out.
    """

    total: int
    updated: int
    ready: int
    seen: bool

    @classmethod
    def of(cls, workload: Manifest) -> Counts:
        """Read them from the workload's status."""
        status = workload.get("status", {})
        return cls(
            total=status.get("replicas", 0),
            updated=status.get("updatedReplicas", 0),
            ready=status.get("readyReplicas", 0),
            seen=status.get("observedGeneration", 0) >= workload["metadata"]["generation"],
        )

    @classmethod
    def of_all(cls, workloads: Sequence[Manifest]) -> Counts:
        """Return the sums over several workloads."""
        counts = [cls.of(workload) for workload in workloads]
        return cls(
            total=sum(one.total for one in counts),
            updated=sum(one.updated for one in counts),
            ready=sum(one.ready for one in counts),
            seen=all(one.seen for one in counts),
        )

    def settled(self, wanted: int) -> bool:
        """Tell whether so many daemons run, all ready and none of an older revision."""
        return self.seen and self.ready == self.updated == self.total == wanted


@dataclass(frozen=True, kw_only=True)
class _Observed:
    """What is observed of every builder, after the reconcile did its part."""

    blocked: TerminalError | Pending | None = None
    """What keeps the reconcile from its end, if anything: what a user must act on, or what passes by itself."""
    injection: Manifest | None = None
    """What runner pods get, as rendered now; None where it could not be, or is not to be changed."""
    is_new: bool = False
    """Whether `injection` is not in the status yet, where engines read it: what follows from it comes after that."""
    runners: Sequence[Manifest] = ()
    """Runner pods that were given the builder."""
    probe: ProbeResult | None = None
    """The result of the last probe; None where none was made yet."""
    picks_pods: bool | None = None
    """Whether the namespace lets builders pick its pods; None where that was not asked or may not be known."""


@dataclass(frozen=True)
class SidecarObserved(_Observed):
    """What is observed of a builder whose daemons are in its runner pods."""

    confinement: Confinement | None = None


@dataclass(frozen=True)
class DaemonsObserved(_Observed):
    """What is observed of a builder with daemons of its own."""

    workloads: Sequence[Manifest] = ()
    """What runs the daemons: a Deployment, or a StatefulSet where their cache is on PVCs; one for each architecture."""
    pods: Sequence[Manifest] = ()
    """The daemons' pods."""
    certificates: Certificates | None = None
    claims: Claims = NO_CLAIMS
    confinement: Confinement | None = None
    enforced: PodSecurity | None = None
    """What the namespace enforces on pods; None where that was not asked."""
    scaling: Scaling | None = None
    """How many daemons autoscaling wants; None where the builder has none."""
    refusals: Mapping[str, Finding] = field(default_factory=dict)
    """By the name of a workload that does not tell, why the API server refuses pods that it lacks; one was tried."""


@dataclass(frozen=True)
class ConsumerObserved(_Observed):
    """What is observed of a builder that uses another namespace's daemons."""

    grant: Grant | None = None
    """What its provider gives it; None where it gives nothing."""


Observed: TypeAlias = SidecarObserved | DaemonsObserved | ConsumerObserved


def nothing_observed(role: Role) -> Observed:
    """Return what is observed of a builder before anything is."""
    match role:
        case Role.SIDECAR:
            return SidecarObserved()
        case Role.DAEMONS:
            return DaemonsObserved()
        case Role.CONSUMER:
            return ConsumerObserved()


def has_begun(observed: Observed) -> bool:
    """Tell whether the operator has begun with a builder, or cannot begin."""
    if isinstance(observed.blocked, TerminalError):
        return True
    match observed:
        case SidecarObserved():
            return observed.probe is not None
        case DaemonsObserved():
            return bool(observed.workloads)
        case ConsumerObserved():
            return observed.grant is not None
