"""What is seen of a builder's objects, and how many daemons its workload has: what verdict and facts are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.desired.certificates import Certificates
from buildkit_operator.desired.claims import NO_CLAIMS, Claims
from buildkit_operator.desired.consumers import Grant
from buildkit_operator.desired.isolation import Confinement, PodSecurity
from buildkit_operator.desired.metadata import Manifest
from buildkit_operator.status.diagnosis.daemons import Finding


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
    grant: Grant | None = None
    """What a builder has of its provider, where it uses another's daemons."""
    problem: TerminalError | None = None
    waiting_for: str | None = None
    """What is in the way and will go by itself, in a sentence."""
    waiting_reason: Reason = Reason.PROGRESSING
    """The same in one word."""


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

    def settled(self, wanted: int) -> bool:
        """Tell whether so many daemons run, all ready and none of an older revision."""
        return self.seen and self.ready == self.updated == self.total == wanted
