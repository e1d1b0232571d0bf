"""Level-triggered reconcile of a builder: desired objects, apply, observe, status, events.

Every call goes through the builder whole, whatever the event was: nothing depends on having seen every event. At rest
it makes no request, and it may be repeated at any time (it is idempotent).

A builder's status is what was observed, but in six places, where the previous status is input: status/__init__.py has
them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from pydantic import ValidationError

from buildkit_operator.api.builder import BuildKitBuilder, unreadable
from buildkit_operator.api.conditions import explained
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.controller import refusals
from buildkit_operator.controller.builders import Builders
from buildkit_operator.controller.modes import Modes, Parts
from buildkit_operator.controller.ownership import PreviousOwnerTerminating
from buildkit_operator.controller.requeue import OTHER_INSTALLATION_REQUEUE, requeue_after
from buildkit_operator.controller.status_writer import StatusWriter
from buildkit_operator.desired.autoscaling import Scaling, is_carried_out
from buildkit_operator.engine.events import EventRecorder
from buildkit_operator.engine.leader_election import NotLeader
from buildkit_operator.kube.errors import ApiError
from buildkit_operator.kube.resources import Key, Manifest
from buildkit_operator.status import (
    DaemonsObserved,
    Observed,
    Pending,
    Status,
    nothing_observed,
    status_for,
    status_for_failed,
    status_for_unreadable,
)
from buildkit_operator.status.diagnosis import drain, runner_pods
from buildkit_operator.status.diagnosis.daemons import Finding
from buildkit_operator.status.diagnosis.surroundings import authority_of_the_future, stands_back

logger = logging.getLogger(__name__)

ATTEMPTS_UNSEEN: Final = 3
"""Attempts, of some 2 seconds together, until a spec that nothing was said of gets a status for what should pass."""

ATTEMPTS_UNTOLD: Final = 8
"""Attempts, of a minute or two together, until the status of another builder says what keeps failing."""

PREVIOUS_OWNER_LIMIT: Final = timedelta(minutes=5)
"""How long after its creation a builder waits for what a deleted one of its name has left."""


class BuilderReconciler:
    """Called with the key of a builder, by a worker of the queue."""

    def __init__(
        self,
        builders: Builders,
        recorder: EventRecorder,
        status: StatusWriter,
        parts: Parts,
        modes: Modes,
        clock: Callable[[], datetime],
    ) -> None:
        """Reconcile by the builder's mode, and report by `status`; `clock` gives the time that conditions go by.

        What another of the status writer's installations is in charge of is left alone.
        """
        self._builders = builders
        self._parts = parts
        self._recorder = recorder
        self._status = status
        self._modes = modes
        self._clock = clock
        self._installations = status.installations
        self._of_others: dict[Key, str] = {}
        self._attempts: dict[Key, int] = {}

    async def __call__(self, key: Key) -> float | None:
        """Reconcile one builder and return the seconds until it is to be reconciled again without an event, or None.

        Raises what keeps it from its end, for the caller to try again later; the builder's status says so then.
        """
        resource = await self._builders.get(*key)
        if resource is None or "deletionTimestamp" in resource["metadata"]:
            self._forget(key)
            return None
        if other := await self._installations.in_charge(resource):
            return self._stand_back(key, resource, other)
        self._of_others.pop(key, None)
        try:
            again_after = await self._reconcile(resource)
        except NotLeader:
            raise
        except Exception as error:
            await self._report(resource, error)
            raise
        self._attempts.pop(key, None)
        return again_after

    async def _reconcile(self, resource: Manifest) -> float | None:
        try:
            builder = BuildKitBuilder.model_validate(resource)
        except ValidationError as error:
            return await self._refuse(resource, error)
        previous: Status = resource.get("status", {})
        scaling = await self._parts.autoscaler.scaling(builder, previous)
        if scaling is not None:
            builder = builder.with_replicas(scaling.replicas)
        observed = await self._observed(builder, resource, previous)
        if scaling is not None and isinstance(observed, DaemonsObserved):
            observed = replace(observed, scaling=scaling)
            self._tell_of_scaling(resource, scaling, observed)
        self._tell_of_failed_runners(observed)
        self._tell_of_lost_builds(resource, observed)
        self._tell_of_wrong_clocks(resource, observed)
        status = status_for(builder, observed, previous, self._clock())
        if pause := await self._status.write(resource, status):
            return pause
        return requeue_after(builder, observed, self._clock(), self._parts.probe.requeue_after(builder))

    async def _report(self, resource: Manifest, error: Exception) -> None:
        """Have the status say what a reconcile failed for, so that no builder is without one of its generation.

        What passes by itself is told once it has not for a while, and sooner where nothing was said of the spec yet.
        """
        metadata, previous = resource["metadata"], resource.get("status", {})
        key = (metadata["namespace"], metadata["name"])
        attempt = self._attempts[key] = self._attempts.get(key, 0) + 1
        is_told = previous.get("observedGeneration") == metadata["generation"]
        problem = failure(error)
        if isinstance(problem, Pending) and attempt < (ATTEMPTS_UNTOLD if is_told else ATTEMPTS_UNSEEN):
            return
        status = status_for_failed(metadata["generation"], problem, previous, self._clock())
        with suppress(ApiError):  # the first error is the one that is told, and raised
            await self._status.write(resource, status)

    async def _observed(self, builder: BuildKitBuilder, resource: Manifest, previous: Status) -> Observed:
        """Reconcile the builder's objects, and return what is observed of them and of its runner pods."""
        try:
            observed = await self._reconcile_objects(builder, previous)
        except PreviousOwnerTerminating as leftover:
            observed = replace(nothing_observed(builder.role), blocked=left_over(leftover, resource, self._clock()))
        except TerminalError as error:
            observed = await self._blocked(builder, error)
        except ApiError as error:
            if error.transient:
                raise
            observed = await self._blocked(builder, refusals.of_request(error))
        return replace(
            observed, runners=self._parts.pods.runners(builder), picks_pods=await self._parts.picks_pods(builder)
        )

    async def _reconcile_objects(self, builder: BuildKitBuilder, previous: Status) -> Observed:
        """Reconcile by mode, unless the builder is suspended."""
        mode = self._modes.of(builder)
        return await (mode.observe_suspended if builder.spec.suspend else mode.reconcile)(builder, previous)

    async def _blocked(self, builder: BuildKitBuilder, error: TerminalError) -> Observed:
        """Return what is observed of a builder whose objects stay as they are. Raises kube.errors.ApiError."""
        observed = await self._modes.of(builder).observe(builder)
        # That none of its Secrets is missing is seen at the next attempt, and not when the cache has forgotten them.
        self._parts.apply_set.forget_secrets(builder)
        return replace(observed, blocked=error)

    async def _refuse(self, resource: Manifest, error: ValidationError) -> float | None:
        """Report a spec that an earlier version of the CRD let through."""
        generation, previous = resource["metadata"]["generation"], resource.get("status", {})
        status = status_for_unreadable(generation, unreadable(error), previous, self._clock())
        return await self._status.write(resource, status)

    def _stand_back(self, key: Key, resource: Manifest, other: str) -> float:
        """Leave a builder to another installation, say so once, and look again later."""
        if self._of_others.get(key) != other:
            self._of_others[key] = other
            finding = stands_back(self._installations.own, other)
            logger.warning("%s", finding.message, extra={"builder": "/".join(key)})
            self._warn(resource, finding, action="Reconcile")
        return OTHER_INSTALLATION_REQUEUE

    def _tell_of_failed_runners(self, observed: Observed) -> None:
        """Say on runner pods that wait in vain what their sidecars said: the kubelet's own events do not quote it."""
        for pod, finding in runner_pods.failed(observed.runners):
            self._warn(pod, finding, action="Inject")

    def _tell_of_lost_builds(self, resource: Manifest, observed: Observed) -> None:
        """Say which daemons are ended while they are busy: in a moment nothing is left of their pods."""
        if isinstance(observed, DaemonsObserved):
            for _, finding in drain.cut_short(observed.pods):
                self._warn(resource, finding, action="Drain")

    def _tell_of_scaling(self, resource: Manifest, scaling: Scaling, observed: DaemonsObserved) -> None:
        """Say why the number of daemons is another one, once the workload was made to have it."""
        if scaling.has_changed and is_carried_out(scaling, observed.workloads):
            self._recorder.event(resource, "Normal", Reason.SCALED, scaling.message, action="Scale")

    def _tell_of_wrong_clocks(self, resource: Manifest, observed: Observed) -> None:
        """Say that an authority is of the future: somebody has to find the clock that is wrong."""
        if isinstance(observed, DaemonsObserved) and (
            finding := authority_of_the_future(resource["metadata"]["name"], observed.certificates, self._clock())
        ):
            self._warn(resource, finding, action="Issue")

    def _warn(self, regarding: Manifest, finding: Finding, action: str) -> None:
        note = explained(finding.reason, finding.message)
        self._recorder.event(regarding, "Warning", finding.reason, note, action=action, is_state=True)

    def _forget(self, key: Key) -> None:
        """Drop what is remembered of a builder that is gone; its owner references delete its objects."""
        self._attempts.pop(key, None)
        self._status.forget(key)
        self._of_others.pop(key, None)
        self._parts.probe.forget(*key)


def failure(error: Exception) -> TerminalError | Pending:
    """Return what an error means for the builder whose reconcile it ended; of its words, only an API server's are told.

    What is not foreseen is a mistake in the operator. The values that it is about may be anybody's secrets.
    """
    if not isinstance(error, ApiError):
        return TerminalError(
            Reason.RECONCILE_FAILED,
            f"The operator failed at this builder by a mistake of its own ({type(error).__name__}), and tries again. "
            "Its log says where.",
        )
    if error.transient:
        return Pending(Reason.PROGRESSING, f"A request to the API server fails, and is tried again: {error}")
    return refusals.of_request(error)


def left_over(leftover: PreviousOwnerTerminating, resource: Manifest, now: datetime) -> TerminalError | Pending:
    """Return what an object of a deleted builder of the same name means: it goes by itself, but not always."""
    created = datetime.fromisoformat(resource["metadata"]["creationTimestamp"])
    if now - created < PREVIOUS_OWNER_LIMIT:
        return Pending(Reason.PROGRESSING, f"{leftover} Waiting for Kubernetes' garbage collection to remove it.")
    return TerminalError(
        Reason.NAME_CONFLICT,
        f"{leftover} Kubernetes' garbage collection has not removed it, so it was left alone: delete it.",
    )
