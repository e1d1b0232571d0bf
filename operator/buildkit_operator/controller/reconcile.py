"""Level-triggered reconcile of a builder: desired objects, apply, observe, status, events.

Every call goes through the builder whole, whatever the event was: nothing depends on having seen every event. At rest
it makes no request, and it may be repeated at any time (it is idempotent).

A builder's status is what was observed, but in five places, where the previous status is input: status/__init__.py has
them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from pydantic import ValidationError

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder, unreadable
from buildkit_operator.api.conditions import explained
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.controller.apply_set import PreviousOwnerTerminating
from buildkit_operator.controller.builder_pods import BuilderPods
from buildkit_operator.controller.modes import Modes
from buildkit_operator.controller.requeue import requeue_after
from buildkit_operator.controller.status_writer import StatusWriter
from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.events import EventRecorder
from buildkit_operator.kube.resources import Key, Manifest
from buildkit_operator.status import (
    DaemonsObserved,
    Observed,
    Pending,
    Status,
    nothing_observed,
    status_for,
    status_for_unreadable,
)
from buildkit_operator.status.diagnosis import drain, runner_pods
from buildkit_operator.status.diagnosis.daemons import Finding


class BuilderReconciler:
    """Called with the key of a builder, by a worker of the queue."""

    def __init__(
        self,
        cache: Cache,
        recorder: EventRecorder,
        status: StatusWriter,
        modes: Modes,
        clock: Callable[[], datetime],
    ) -> None:
        """Reconcile by the builder's mode, and report by `status`; `clock` gives the time that conditions go by."""
        self._cache = cache
        self._pods = BuilderPods(cache)
        self._recorder = recorder
        self._status = status
        self._modes = modes
        self._clock = clock

    async def __call__(self, key: Key) -> float | None:
        """Reconcile one builder and return the seconds until it is to be reconciled again without an event, or None.

        Raises kube.errors.ApiError, for the caller to try again later.
        """
        resource = self._cache.get(names.BUILDER, *key)
        if resource is None or "deletionTimestamp" in resource["metadata"]:
            self._forget(key)
            return None
        try:
            builder = BuildKitBuilder.model_validate(resource)
        except ValidationError as error:
            return await self._refuse(resource, error)
        previous: Status = resource.get("status", {})
        observed = await self._observed(builder, previous)
        self._tell_of_failed_runners(observed)
        self._tell_of_lost_builds(resource, observed)
        status = status_for(builder, observed, previous, self._clock())
        if pause := await self._status.write(resource, status):
            return pause
        return requeue_after(builder, observed, self._clock(), self._modes.of(builder).requeue_after(builder))

    async def _observed(self, builder: BuildKitBuilder, previous: Status) -> Observed:
        """Reconcile the builder's objects, and return what is observed of them and of its runner pods."""
        observed = await self._reconcile_objects(builder, previous)
        return replace(observed, runners=self._pods.runners(builder))

    async def _reconcile_objects(self, builder: BuildKitBuilder, previous: Status) -> Observed:
        """Reconcile by mode, unless the builder is suspended; a terminal error leaves the objects as they are."""
        mode = self._modes.of(builder)
        if builder.spec.suspend:
            return await mode.observe_suspended(builder, previous)
        try:
            return await mode.reconcile(builder, previous)
        except PreviousOwnerTerminating as leftover:
            return replace(nothing_observed(builder.role), blocked=Pending(Reason.PROGRESSING, str(leftover)))
        except TerminalError as error:
            return replace(await mode.observe(builder), blocked=error)

    async def _refuse(self, resource: Manifest, error: ValidationError) -> float | None:
        """Report a spec that an earlier version of the CRD let through."""
        generation, previous = resource["metadata"]["generation"], resource.get("status", {})
        status = status_for_unreadable(generation, unreadable(error), previous, self._clock())
        return await self._status.write(resource, status)

    def _tell_of_failed_runners(self, observed: Observed) -> None:
        """Say on runner pods that wait in vain what their sidecars said: the kubelet's own events do not quote it."""
        for pod, finding in runner_pods.failed(observed.runners):
            self._warn(pod, finding, action="Inject")

    def _tell_of_lost_builds(self, resource: Manifest, observed: Observed) -> None:
        """Say which daemons are ended while they are busy: in a moment nothing is left of their pods."""
        if isinstance(observed, DaemonsObserved):
            for _, finding in drain.cut_short(observed.pods, self._clock()):
                self._warn(resource, finding, action="Drain")

    def _warn(self, regarding: Manifest, finding: Finding, action: str) -> None:
        note = explained(finding.reason, finding.message)
        self._recorder.event(regarding, "Warning", finding.reason, note, action=action)

    def _forget(self, key: Key) -> None:
        """Drop what is remembered of a builder that is gone; its owner references delete its objects."""
        self._status.forget(key)
        self._modes.forget(key)
