"""What sets the number of daemons in a replayed day: nobody, a HorizontalPodAutoscaler, or the operator. Pure."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any, Final, Protocol

from buildkit_operator.api.shared import Shared
from buildkit_operator.desired.autoscaling import Demand, Target, decide

MIDNIGHT: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Seen:
    """What can be seen at a moment."""

    now: float
    """Seconds after midnight."""
    replicas: int
    """How many daemons there are to be."""
    ready: int
    """Those of them that answer."""
    runners: int
    """Runner pods that have not ended."""
    builds: int
    """Builds that run. Those that wait do so in their connectors."""


class Scaler(Protocol):
    """Sets the number of daemons."""

    def replicas(self, seen: Seen) -> int:
        """Return how many daemons there are to be; it is asked each second."""
        ...


@dataclass(frozen=True)
class Fixed:
    """As many as ever."""

    count: int

    def replicas(self, seen: Seen) -> int:  # noqa: ARG002
        return self.count


@dataclass
class ByCPU:
    """A HorizontalPodAutoscaler by the use of CPU, with the algorithm and the defaults that Kubernetes documents.

    https://kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale/
    """

    most: int
    target: float
    """Builds that a daemon runs when it uses as much CPU as it is to."""
    least: int = 1
    _used: deque[float] = field(default_factory=lambda: deque(maxlen=30))
    """Builds in the last seconds, of which metrics tell the mean."""
    _recommended: deque[tuple[float, int]] = field(default_factory=deque)

    SYNC_SECONDS: Final = 15
    TOLERANCE: Final = 0.1
    STABILIZATION_SECONDS: Final = 300
    """Fewer are taken only when none more was recommended for so long."""

    def replicas(self, seen: Seen) -> int:
        self._used.append(seen.builds)
        if int(seen.now) % self.SYNC_SECONDS:
            return seen.replicas
        wanted = min(max(self._desired(seen), self.least), self.most)
        self._recommended.append((seen.now, wanted))
        while self._recommended[0][0] <= seen.now - self.STABILIZATION_SECONDS:
            self._recommended.popleft()
        stable = wanted if wanted > seen.replicas else max(count for _, count in self._recommended)
        # Its scaleUp policies: at most twice as many, or four more, in 15 seconds.
        return min(stable, max(2 * seen.replicas, seen.replicas + 4))

    def _desired(self, seen: Seen) -> int:
        if not seen.ready:
            return seen.replicas
        used = sum(self._used) / len(self._used)
        ratio = used / seen.ready / self.target
        if abs(ratio - 1) <= self.TOLERANCE:
            return seen.replicas
        if ratio < 1 or seen.ready == seen.replicas:
            return ceil(ratio * seen.ready)
        # Those that are not ready count as idle, which may not turn the direction.
        damped = used / seen.replicas / self.target
        return seen.replicas if damped <= 1 + self.TOLERANCE else ceil(damped * seen.replicas)


@dataclass
class ByOperator:
    """spec.shared.autoscaling, by the operator's own function."""

    target: Target
    _status: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, places: int, **autoscaling: int) -> "ByOperator":
        """Return what the operator does with these fields, at daemons that run so many builds."""
        spec = {"maxBuilds": places, "autoscaling": autoscaling}
        target = Target.of(Shared.model_validate(spec))
        assert target
        return cls(target)

    def replicas(self, seen: Seen) -> int:
        now = MIDNIGHT + timedelta(seconds=seen.now)
        scaling = decide(self.target, Demand(seen.runners, seen.builds), seen.replicas, self._status, now)
        self._status = scaling.status
        return scaling.replicas
