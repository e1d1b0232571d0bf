"""Brings one builder closer to what it should be: from the resource to its objects, and from these to its status."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

from pydantic import ValidationError

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder, Role, unreadable
from buildkit_operator.api.conditions import explained
from buildkit_operator.api.reasons import TerminalError, row
from buildkit_operator.controller.cert_manager import CertManager
from buildkit_operator.controller.context import Context
from buildkit_operator.controller.grants import Consumers
from buildkit_operator.controller.injection_probe import Trials, attempt
from buildkit_operator.controller.metrics import Census
from buildkit_operator.controller.modes import Clock, Parts, Serving
from buildkit_operator.controller.modes.consumer import Consumer
from buildkit_operator.controller.modes.shared import Shared
from buildkit_operator.controller.modes.sidecar import Sidecar
from buildkit_operator.controller.namespaces import Surroundings
from buildkit_operator.controller.objects import Objects, OwnerIsGone
from buildkit_operator.controller.requeue import next_look
from buildkit_operator.controller.volume_expansion import Growth
from buildkit_operator.desired.platform import CONNECTOR_IMAGE, DEFAULT_IMAGE, Platform
from buildkit_operator.engine.kinds import Reconcile
from buildkit_operator.engine.rate_limiter import RateLimiter
from buildkit_operator.engine.secrets import Secrets
from buildkit_operator.kube import errors
from buildkit_operator.kube.resources import Key, Manifest
from buildkit_operator.pki.keypairs import Lifetimes
from buildkit_operator.settings import Settings
from buildkit_operator.status import (
    Observed,
    Status,
    condition_of,
    differs_in_counts_only,
    status_for,
    status_for_unreadable,
)
from buildkit_operator.status.diagnosis import drain, runner_pods

COUNT_SECONDS: Final = 5.0
"""How often numbers of runner pods alone are written anew: a busy CI starts and ends several pods a second."""

logger = logging.getLogger(__name__)


def make_reconcile(context: Context) -> Reconcile:
    """Return the reconcile of BuildKitBuilders, and have them counted in the metrics."""
    context.metrics.registry.register(Census(context.cache))
    return BuilderReconcile(context, clock=lambda: datetime.now(UTC))


def _platform(settings: Settings) -> Platform:
    return Platform(
        settings.buildkit_image or DEFAULT_IMAGE,
        settings.cluster_domain,
        settings.namespace,
        settings.connector_image or CONNECTOR_IMAGE,
    )


class BuilderReconcile:
    """One call looks at one builder whole, whatever the event was: nothing depends on having seen every event."""

    def __init__(self, context: Context, clock: Clock) -> None:
        """Take the engine's parts; `clock` gives the time that certificates and conditions go by."""
        settings, client, cache = context.settings, context.client, context.cache
        rest = settings.resync_seconds
        secrets, surroundings = Secrets(client, time.monotonic, rest), Surroundings(client, time.monotonic, rest)
        objects = Objects(client, cache, secrets)
        cert_manager = CertManager(client, objects, secrets, time.monotonic, rest)
        platform, lifetimes = _platform(settings), Lifetimes()
        self._context = context
        self._clock = clock
        self._parts = Parts(client, cache, secrets, objects, surroundings, cert_manager, platform, lifetimes, clock)
        self._trials = Trials(partial(attempt, client, platform.default_image), time.monotonic, rest)
        self._sidecar = Sidecar(self._parts, self._trials)
        self._shared = Shared(self._parts, Growth(client, time.monotonic, rest))
        self._consumer = Consumer(
            self._parts, Consumers(cache, secrets, surroundings, settings.watch_namespaces, lifetimes)
        )
        self._counted = RateLimiter(COUNT_SECONDS, time.monotonic)

    async def __call__(self, key: Key) -> float | None:
        """Reconcile one builder and return the seconds until it wants to be looked at again, if it does.

        Raises kube.errors.ApiError, for the caller to try again later.
        """
        resource = self._context.cache.get(names.BUILDER, *key)
        if resource is None or "deletionTimestamp" in resource["metadata"]:
            self._trials.forget(*key)
            self._counted.forget(key)
            return None
        previous: Status = resource.get("status", {})
        try:
            builder = BuildKitBuilder.model_validate(resource)
        except ValidationError as error:
            await self._refuse(resource, error)
            return None
        observed = await self._observe(builder, previous)
        observed = replace(observed, runners=self._parts.runners(builder))
        self._tell_runners(observed)
        self._tell_of_lost_builds(resource, builder, observed)
        status = status_for(builder, observed, previous, self._clock())
        if differs_in_counts_only(status, previous) and (pause := self._counted.pause(key)):
            return pause
        await self._report(resource, status)
        return next_look(builder, observed, self._clock(), self._trials.pause(builder))

    async def _observe(self, builder: BuildKitBuilder, previous: Status) -> Observed:
        """Do the builder's part, unless it is suspended, and tell what is seen of it; a problem changes nothing."""
        way = self._way(builder)
        if builder.spec.suspend:
            return await way.rest(builder, previous)
        try:
            return await way.bring_about(builder, previous)
        except OwnerIsGone as leftover:
            return Observed(waiting_for=str(leftover))
        except TerminalError as problem:
            return replace(await way.look(builder), problem=problem)

    def _way(self, builder: BuildKitBuilder) -> Serving:
        match builder.role:
            case Role.SIDECAR:
                return self._sidecar
            case Role.DAEMONS:
                return self._shared
            case Role.CONSUMER:
                return self._consumer

    def _tell_runners(self, observed: Observed) -> None:
        """Say on runner pods that wait in vain what their sidecars said: the kubelet's own events do not quote it."""
        for pod, finding in runner_pods.failed(observed.runners):
            note = explained(finding.reason, finding.message)
            self._context.recorder.event(pod, "Warning", finding.reason, note, action="Inject")

    def _tell_of_lost_builds(self, resource: Manifest, builder: BuildKitBuilder, observed: Observed) -> None:
        """Say which daemons are ended while they are busy: in a moment nothing is left of their pods."""
        if builder.role is Role.DAEMONS:
            for _, finding in drain.cut_short(observed.pods, self._clock()):
                note = explained(finding.reason, finding.message)
                self._context.recorder.event(resource, "Warning", finding.reason, note, action="Drain")

    async def _refuse(self, resource: Manifest, error: ValidationError) -> None:
        """Report a spec that an earlier version of the CRD let through."""
        generation, previous = resource["metadata"]["generation"], resource.get("status", {})
        await self._report(resource, status_for_unreadable(generation, unreadable(error), previous, self._clock()))

    async def _report(self, resource: Manifest, status: Status) -> None:
        """Write the status if it changed, and then tell of the change in an event."""
        previous = resource.get("status", {})
        if status == previous:
            return
        try:
            await self._write_status(resource, status)
        except errors.NotFound:
            return  # it was deleted meanwhile, and there is nobody to tell
        ready, before = condition_of(status), condition_of(previous)
        if (ready["status"], ready["reason"]) == (before.get("status"), before.get("reason")):
            return
        builder = "/".join((resource["metadata"]["namespace"], resource["metadata"]["name"]))
        logger.info("%s: %s", ready["reason"], ready["message"], extra={"builder": builder})
        event_type = "Normal" if ready["status"] == "True" else row(ready["reason"]).event_type
        self._context.recorder.event(resource, event_type, ready["reason"], ready["message"], action="Reconcile")

    async def _write_status(self, resource: Manifest, status: Status) -> None:
        metadata = resource["metadata"]
        await self._context.client.apply_status(
            {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "metadata": {key: metadata[key] for key in ("name", "namespace", "uid")},
                "status": status,
            }
        )
