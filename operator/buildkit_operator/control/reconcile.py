"""Brings one builder closer to what it should be: from the resource to its objects, and from these to its status."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

from pydantic import ValidationError

from buildkit_operator import draining, runners
from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder, Isolation, Mode
from buildkit_operator.api.conditions import ConditionType, Problem, Reason
from buildkit_operator.control import certificates as keeper
from buildkit_operator.control import references
from buildkit_operator.control.agenda import next_look
from buildkit_operator.control.cache import owned_by
from buildkit_operator.control.census import Census
from buildkit_operator.control.cert_manager import CertificatePending, CertManager
from buildkit_operator.control.consumers import Consumers, ProviderPending
from buildkit_operator.control.context import Context, Key, Reconcile
from buildkit_operator.control.growth import Growth
from buildkit_operator.control.kinds import BUILDERS
from buildkit_operator.control.objects import Objects, OwnerIsGone
from buildkit_operator.control.pacer import Pacer
from buildkit_operator.control.secrets import Secrets
from buildkit_operator.control.surroundings import Surroundings
from buildkit_operator.control.trials import Trials, attempt
from buildkit_operator.desired import children, consumers, injection, issued_by_cert_manager, needs_certificates
from buildkit_operator.desired.cert_manager import requests
from buildkit_operator.desired.certificates import Certificates
from buildkit_operator.desired.claims import Claims, seen_claims
from buildkit_operator.desired.consumers import is_consumer
from buildkit_operator.desired.isolation import PodSecurity, confine
from buildkit_operator.desired.keypairs import Lifetimes
from buildkit_operator.desired.platform import CONNECTOR_IMAGE, DEFAULT_IMAGE, Platform
from buildkit_operator.diagnosis import diagnose_namespace
from buildkit_operator.kube import errors
from buildkit_operator.kube.resources import (
    DEPLOYMENT,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    STATEFUL_SET,
    Manifest,
    Resource,
)
from buildkit_operator.status import (
    Observed,
    Status,
    Trial,
    differs_in_counts_only,
    status_for,
    status_for_unreadable,
)

COUNT_SECONDS: Final = 5.0
"""How often numbers of runner pods alone are written anew: a busy CI starts and ends several pods a second."""

Clock = Callable[[], datetime]

logger = logging.getLogger(__name__)


def make_reconcile(context: Context) -> Reconcile:
    """Return the reconcile of BuildKitBuilders, and have them counted in the metrics."""
    context.metrics.registry.register(Census(context.cache))
    return BuilderReconcile(context, clock=lambda: datetime.now(UTC))


class BuilderReconcile:
    """One call looks at one builder whole, whatever the event was: nothing depends on having seen every event."""

    def __init__(self, context: Context, clock: Clock) -> None:
        """Take the engine's parts; `clock` gives the time that certificates and conditions go by."""
        settings = context.settings
        self._context = context
        self._clock = clock
        self._secrets = Secrets(context.client, time.monotonic, settings.resync_seconds)
        self._objects = Objects(context.client, context.cache, self._secrets)
        self._platform = Platform(
            settings.buildkit_image or DEFAULT_IMAGE,
            settings.cluster_domain,
            settings.namespace,
            settings.connector_image or CONNECTOR_IMAGE,
        )
        self._lifetimes = Lifetimes()
        self._surroundings = Surroundings(context.client, time.monotonic, settings.resync_seconds)
        self._cert_manager = CertManager(
            context.client, self._objects, self._secrets, time.monotonic, settings.resync_seconds
        )
        self._consumers = Consumers(
            context.cache, self._secrets, self._surroundings, settings.watch_namespaces, self._lifetimes
        )
        trial = partial(attempt, context.client, self._platform.default_image)
        self._trials = Trials(trial, time.monotonic, settings.resync_seconds)
        self._growth = Growth(context.client, time.monotonic, settings.resync_seconds)
        self._counted = Pacer(COUNT_SECONDS, time.monotonic)

    async def __call__(self, key: Key) -> float | None:
        """Reconcile one builder and return the seconds until it wants to be looked at again, if it does.

        Raises kube.errors.ApiError, for the caller to try again later.
        """
        resource = self._context.cache.get(BUILDERS.primary, *key)
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
        if builder.spec.suspend:
            observed = await self._look(builder, previous)
        else:
            observed = await self._bring_about(builder, previous)
        observed = replace(observed, runners=self._runners(builder))
        self._tell_runners(observed)
        self._tell_of_lost_builds(resource, builder, observed)
        status = status_for(builder, observed, previous, self._clock())
        if differs_in_counts_only(status, previous) and (pause := self._counted.pause(key)):
            return pause
        await self._report(resource, status)
        return next_look(builder, observed, self._clock(), self._trials.pause(builder))

    async def _bring_about(self, builder: BuildKitBuilder, previous: Status) -> Observed:
        """Make the builder's objects what they should be; a problem leaves them as they are."""
        if is_consumer(builder):
            return await self._borrow(builder)
        try:
            certificates = await self._certificates(builder)
        except OwnerIsGone as leftover:
            return Observed(waiting_for=str(leftover))
        except CertificatePending as pending:
            observed = self._observed(builder, await self._stored_certificates(builder), None)
            return replace(observed, waiting_for=str(pending), waiting_reason=Reason.CERTIFICATE_PENDING)
        except Problem as problem:
            return self._observed(builder, await self._stored_certificates(builder), problem)
        enforced = await self._enforced(builder)
        confinement = confine(builder.spec, enforced)
        try:
            ordered = requests(builder, self._platform.cluster_domain) if issued_by_cert_manager(builder) else []
            wanted = children(builder, self._platform, certificates, confinement, self._claims(builder))
            await references.check(builder, self._context.client, self._secrets)
            await self._objects.apply(builder, wanted)
            await self._objects.prune(builder, [*wanted, *ordered])
            await self._growth.grow(builder, self._claims(builder))
        except OwnerIsGone as leftover:
            return Observed(waiting_for=str(leftover))
        except Problem as problem:
            # Certificates that were made just now may not have been stored.
            return self._observed(builder, await self._stored_certificates(builder), problem)
        observed = replace(self._observed(builder, certificates, None), confinement=confinement, enforced=enforced)
        rendered = injection.render(builder, self._platform, confinement)
        if builder.spec.mode is Mode.SHARED:
            return replace(observed, injection=rendered)
        refused = diagnose_namespace(builder, enforced)
        if refused is None:
            return replace(observed, injection=rendered, trial=await self._trial(builder, rendered, previous))
        # None is made meanwhile: one that was due would have the builder looked at over and over.
        self._trials.forget(builder.metadata.namespace, builder.metadata.name)
        return replace(observed, injection=rendered, trial=Trial(served=False, finding=refused))

    async def _borrow(self, builder: BuildKitBuilder) -> Observed:
        """Give a builder what it needs to use another's daemons; what it has stays where that will not have it."""
        try:
            borrowed = await self._consumers.borrow(builder, self._clock())
            wanted = consumers.children(builder, borrowed, self._platform)
            await references.check(builder, self._context.client, self._secrets)
            await self._cert_manager.withdraw(builder)
            await self._objects.apply(builder, wanted)
            await self._objects.prune(builder, wanted)
        except OwnerIsGone as leftover:
            return Observed(waiting_for=str(leftover))
        except ProviderPending as pending:
            return Observed(waiting_for=str(pending), waiting_reason=Reason.PROVIDER_NOT_READY)
        except Problem as problem:
            return Observed(problem=problem)
        rendered = injection.render(builder, self._platform, confine(builder.spec, PodSecurity()))
        return Observed(borrowed=borrowed, injection=rendered)

    async def _look(self, builder: BuildKitBuilder, previous: Status) -> Observed:
        """See how a suspended builder is doing and change nothing."""
        if is_consumer(builder):
            return Observed()
        observed = self._observed(builder, await self._stored_certificates(builder), None)
        if builder.spec.mode is Mode.SHARED or "injection" not in previous:
            return observed
        return replace(observed, trial=await self._trial(builder, previous["injection"], previous))

    async def _trial(self, builder: BuildKitBuilder, rendered: Manifest, previous: Status) -> Trial | None:
        """Try a runner pod, once the engine can know what it gets."""
        if previous.get("injection") != rendered:
            return None
        return await self._trials.of(builder, rendered, served_before=_ready(previous).get("status") == "True")

    async def _enforced(self, builder: BuildKitBuilder) -> PodSecurity:
        """Return what Pod Security enforces, where that makes a difference to what is made or said."""
        tells_refusals = builder.spec.cache.persistent_volume_claim is None
        if builder.spec.mode is Mode.SHARED and builder.spec.isolation is Isolation.ROOTLESS and tells_refusals:
            return PodSecurity()
        return await self._surroundings.pod_security(builder.metadata.namespace)

    def _observed(
        self, builder: BuildKitBuilder, certificates: Certificates | None, problem: Problem | None
    ) -> Observed:
        key = (builder.metadata.namespace, builder.metadata.name)
        is_shared = builder.spec.mode is Mode.SHARED
        pods = [pod for pod in self._context.cache.children(key, POD) if runners.is_runner(pod) is not is_shared]
        return Observed(self._workload(builder), pods, certificates, claims=self._claims(builder), problem=problem)

    def _runners(self, builder: BuildKitBuilder) -> list[Manifest]:
        key = (builder.metadata.namespace, builder.metadata.name)
        return [pod for pod in self._context.cache.children(key, POD) if runners.is_runner(pod)]

    def _workload(self, builder: BuildKitBuilder) -> Manifest | None:
        """Return what runs the daemons: while it is replaced by the other kind, the one that is wanted."""
        kinds = (DEPLOYMENT, STATEFUL_SET)
        if builder.spec.cache.persistent_volume_claim is not None:
            kinds = (STATEFUL_SET, DEPLOYMENT)
        return next((found for kind in kinds if (found := self._daemons(builder, kind))), None)

    def _daemons(self, builder: BuildKitBuilder, kind: Resource) -> Manifest | None:
        found = self._context.cache.get(kind, builder.metadata.namespace, names.daemon(builder.metadata.name))
        return found if found is not None and owned_by(found, builder.metadata.uid) else None

    def _claims(self, builder: BuildKitBuilder) -> Claims:
        key = (builder.metadata.namespace, builder.metadata.name)
        live = self._context.cache.children(key, PERSISTENT_VOLUME_CLAIM)
        return seen_claims(builder, self._daemons(builder, STATEFUL_SET), live, self._growth.refusals(builder))

    async def _certificates(self, builder: BuildKitBuilder) -> Certificates | None:
        if issued_by_cert_manager(builder):
            return await self._cert_manager.obtain(builder, self._platform.cluster_domain, self._clock())
        await self._cert_manager.withdraw(builder)
        if not needs_certificates(builder):
            return None
        found = await keeper.find(builder, self._secrets)
        return keeper.completed(builder, found, self._platform.cluster_domain, self._lifetimes, self._clock())

    async def _stored_certificates(self, builder: BuildKitBuilder) -> Certificates | None:
        if issued_by_cert_manager(builder):
            return await self._cert_manager.stored(builder, self._clock())
        if not needs_certificates(builder):
            return None
        return (await keeper.find(builder, self._secrets)).complete(self._lifetimes, self._clock())

    def _tell_runners(self, observed: Observed) -> None:
        """Say on runner pods that wait in vain what their sidecars said: the kubelet's own events do not quote it."""
        for pod, finding in runners.failed(observed.runners):
            self._context.recorder.event(pod, "Warning", finding.reason, finding.message, action="Inject")

    def _tell_of_lost_builds(self, resource: Manifest, builder: BuildKitBuilder, observed: Observed) -> None:
        """Say which daemons are ended while they are busy: in a moment nothing is left of their pods."""
        if builder.spec.mode is Mode.SHARED:
            for _, finding in draining.cut_short(observed.pods, self._clock()):
                self._context.recorder.event(resource, "Warning", finding.reason, finding.message, action="Drain")

    async def _refuse(self, resource: Manifest, error: ValidationError) -> None:
        """Report a spec that an earlier version of the CRD let through."""
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        problem = Problem(Reason.INVALID_SPEC, f"{field}: {first['msg'].removeprefix('Value error, ')}.")
        generation, previous = resource["metadata"]["generation"], resource.get("status", {})
        await self._report(resource, status_for_unreadable(generation, problem, previous, self._clock()))

    async def _report(self, resource: Manifest, status: Status) -> None:
        """Write the status if it changed, and then tell of the change in an event."""
        previous = resource.get("status", {})
        if status == previous:
            return
        try:
            await self._write_status(resource, status)
        except errors.NotFound:
            return  # it was deleted meanwhile, and there is nobody to tell
        ready, before = _ready(status), _ready(previous)
        if (ready["status"], ready["reason"]) == (before.get("status"), before.get("reason")):
            return
        builder = "/".join((resource["metadata"]["namespace"], resource["metadata"]["name"]))
        logger.info("%s: %s", ready["reason"], ready["message"], extra={"builder": builder})
        calm = ready["status"] == "True" or ready["reason"] in _CALM
        self._context.recorder.event(
            resource, "Normal" if calm else "Warning", ready["reason"], ready["message"], action="Reconcile"
        )

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


_CALM: Final = frozenset(
    {Reason.PROGRESSING, Reason.SUSPENDED, Reason.SCALED_TO_ZERO, Reason.CERTIFICATE_PENDING, Reason.PROVIDER_NOT_READY}
)
"""Reasons that are no cause for a warning."""


def _ready(status: Status) -> Manifest:
    conditions: list[Manifest] = status.get("conditions", [])
    return next((condition for condition in conditions if condition["type"] == ConditionType.READY), {})
