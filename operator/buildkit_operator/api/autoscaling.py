"""spec.shared.autoscaling: bounds between which the operator itself sets the number of daemons, and what for."""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator

from buildkit_operator.api.fields import Model, rule, rules

RUNNERS_PER_REPLICA: Final = 4
"""Runner pods for each daemon where a builder says neither that nor how many builds a daemon runs."""

_MIN_ABOVE_MAX: Final = "minReplicas may not be larger than maxReplicas"
_TWO_MEASURES: Final = "either runnersPerReplica or buildsPerReplica: a builder scales by one of them"


class Autoscaling(Model):
    """How many daemons there are, of each architecture if several: the operator sets it by demand for runner pods."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule("!has(self.minReplicas) || self.minReplicas <= self.maxReplicas", _MIN_ABOVE_MAX, ".minReplicas"),
            rule("!has(self.runnersPerReplica) || !has(self.buildsPerReplica)", _TWO_MEASURES, ".buildsPerReplica"),
        )
    )

    min_replicas: Annotated[int, Field(ge=0, le=100)] = 1
    """Fewest daemons; 0: none runs while no runner pod has the builder, and the first one waits for a daemon to start.
    """
    max_replicas: Annotated[int, Field(ge=1, le=100)]
    """Most daemons. Builds beyond what they may run wait, see maxBuilds."""
    runners_per_replica: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Runner pods for each daemon, those of other namespaces that use it too. They count from their creation until
    they have ended, so that a daemon starts before the job does. Unset beside buildsPerReplica unset: maxBuilds, or 4.
    """
    builds_per_replica: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Builds for each daemon, running or waiting there: for runners that live on between jobs, and for clients outside
    injection. The operator asks the daemons every 5 seconds. While there are runner pods, one daemon is kept.
    """
    idle_seconds: Annotated[int, Field(ge=0, le=86400)] = 300
    """Seconds for which fewer daemons must do until the others are taken away, each once its builds have ended."""

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(_MIN_ABOVE_MAX)
        if self.runners_per_replica is not None and self.builds_per_replica is not None:
            raise ValueError(_TWO_MEASURES)
        return self
