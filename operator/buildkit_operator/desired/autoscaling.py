"""Autoscaling: how many shared daemons there should be, by the demand that is seen and what was decided before. No I/O.

More daemons come at once. Fewer come when fewer have done for spec.shared.autoscaling.idleSeconds: then as many stay as
were needed at most in that time, as with a HorizontalPodAutoscaler's stabilization window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from buildkit_operator.api.autoscaling import RUNNERS_PER_REPLICA
from buildkit_operator.api.shared import Shared
from buildkit_operator.kube.manifests import timestamp
from buildkit_operator.kube.resources import Manifest

ASK_INTERVAL: Final = timedelta(seconds=5)
"""How often daemons are asked for their builds, where autoscaling goes by these."""


@dataclass(frozen=True)
class Target:
    """What spec.shared.autoscaling asks for."""

    least: int
    most: int
    idle: timedelta
    per_runner: int | None
    """Runner pods for each daemon; None where it goes by builds."""
    per_build: int | None
    """Builds for each daemon; None where it goes by runner pods."""

    @classmethod
    def of(cls, shared: Shared) -> Target | None:
        """Read it off a spec, None where the operator is not to scale."""
        asked = shared.autoscaling
        if asked is None:
            return None
        per_runner = asked.runners_per_replica or shared.max_builds or RUNNERS_PER_REPLICA
        return cls(
            asked.min_replicas,
            asked.max_replicas,
            timedelta(seconds=asked.idle_seconds),
            None if asked.builds_per_replica else per_runner,
            asked.builds_per_replica,
        )

    def bounded(self, replicas: int) -> int:
        """Return the number that is nearest to another one and allowed."""
        return min(max(replicas, self.least), self.most)


@dataclass(frozen=True)
class Demand:
    """What asks for daemons."""

    runners: int
    """Runner pods with the builder that have not ended, of this namespace and of others that use it."""
    builds: int | None = None
    """Builds that run or wait at the daemons; None where a daemon did not tell."""


@dataclass(frozen=True)
class Scaling:
    """How many daemons there should be, and what is to be remembered of why."""

    replicas: int
    before: int | None = None
    """How many there were to be before this was decided; None where nothing was decided."""
    last_scaled: datetime | None = None
    message: str = ""
    """Why the number last changed, in a sentence."""
    idle_since: datetime | None = None
    """Since when fewer would do; None while they would not."""
    idle_replicas: int = 0
    """How many were needed at most since then."""
    due: datetime | None = None
    """When it is to be decided again without an event."""

    @property
    def has_changed(self) -> bool:
        """Tell whether this is another number than before."""
        return self.before is not None and self.before != self.replicas

    @property
    def status(self) -> dict[str, Any]:
        """Return status.autoscaling."""
        told = {
            "desiredReplicas": self.replicas,
            "lastScaleTime": None if self.last_scaled is None else timestamp(self.last_scaled),
            "message": self.message or None,
            "idleSinceTime": None if self.idle_since is None else timestamp(self.idle_since),
            "idleReplicas": self.idle_replicas if self.idle_since is not None else None,
        }
        return {name: value for name, value in told.items() if value is not None}


def decide(target: Target, demand: Demand, current: int | None, previous: Mapping[str, Any], now: datetime) -> Scaling:
    """Return how many daemons there should be.

    `current` are those that each workload is to have, None where there is none yet; `previous` is status.autoscaling.
    """
    wanted, why = _needed(target, demand, current)
    before = previous.get("desiredReplicas", current)
    scaling = replace(last(previous, wanted), before=before)
    held = wanted if before is None else target.bounded(before)
    if wanted < held:
        since, most = _idle(previous, wanted, now)
        most = min(most, held)
        if now < since + target.idle:
            scaling = replace(scaling, replicas=held, idle_since=since, idle_replicas=most)
        else:
            why = f"no more were needed for {_counted(int((now - since).total_seconds()), 'second')}; now {why}"
            scaling = replace(scaling, replicas=most)
            if wanted < most:
                scaling = replace(scaling, idle_since=now, idle_replicas=wanted)
    if scaling.has_changed:
        message = f"From {before} to {_counted(scaling.replicas, 'daemon')}: {why}."
        scaling = replace(scaling, last_scaled=now, message=message)
    return replace(scaling, due=_due(target, scaling, now))


def last(previous: Mapping[str, Any], replicas: int) -> Scaling:
    """Return this number of daemons, with what is remembered of the last change."""
    return Scaling(replicas, last_scaled=_time(previous.get("lastScaleTime")), message=previous.get("message", ""))


def is_carried_out(scaling: Scaling, workloads: Sequence[Manifest]) -> bool:
    """Tell whether the workloads were made to have that many daemons each, and nothing of the spec was in the way."""
    return bool(workloads) and all(workload["spec"].get("replicas") == scaling.replicas for workload in workloads)


def _needed(target: Target, demand: Demand, current: int | None) -> tuple[int, str]:
    """Return how many daemons the demand asks for, within bounds, and what it is, as a part of a sentence."""
    runners = _counted(demand.runners, "runner pod")
    # From zero nobody but the runner pods can tell that a build waits.
    least = 1 if demand.runners else 0
    if target.per_runner is not None:
        wanted, why = _ceiling(demand.runners, target.per_runner), f"{runners}, {target.per_runner} for each"
    elif demand.builds is None:
        wanted, why = max(current or 0, least), "not every daemon has told its builds"
    else:
        per_build = target.per_build or 1
        wanted = max(_ceiling(demand.builds, per_build), least)
        why = f"{_counted(demand.builds, 'build')}, {per_build} for each, and {runners}"
    bounded = target.bounded(wanted)
    if bounded != wanted:
        bound = "maxReplicas" if bounded < wanted else "minReplicas"
        why += f", which would be {wanted} without {bound}"
    return bounded, why


def _idle(previous: Mapping[str, Any], wanted: int, now: datetime) -> tuple[datetime, int]:
    """Return since when fewer daemons would do, and how many were needed at most since then."""
    since = _time(previous.get("idleSinceTime"))
    # A clock that was set back is not waited for.
    if since is None or since > now:
        return now, wanted
    return since, max(wanted, previous.get("idleReplicas", 0))


def _due(target: Target, scaling: Scaling, now: datetime) -> datetime | None:
    idle = None if scaling.idle_since is None else scaling.idle_since + target.idle
    asked = now + ASK_INTERVAL if target.per_build is not None and scaling.replicas else None
    return min((due for due in (idle, asked) if due is not None), default=None)


def _ceiling(count: int, per_replica: int) -> int:
    return -(-count // per_replica)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
