"""Mode Shared with the daemons of a provider in another namespace: a connector to them, and a certificate granted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.controller.grants import Grants, ProviderPending
from buildkit_operator.controller.modes import ModeReconciler, Parts, is_told
from buildkit_operator.desired import consumers, injection, network
from buildkit_operator.desired.consumers import Grant
from buildkit_operator.desired.isolation import PodSecurity, confine
from buildkit_operator.kube.resources import SECRET, Manifest
from buildkit_operator.status import ConsumerObserved, Pending, Status


class ConsumerReconciler(ModeReconciler):
    """See ModeReconciler. What the builder has stays where its provider does not admit it any more."""

    def __init__(self, parts: Parts, grants: Grants, clock: Callable[[], datetime]) -> None:
        """Have access granted by `grants`."""
        super().__init__(parts)
        self._grants = grants
        self._clock = clock

    async def reconcile(self, builder: BuildKitBuilder, previous: Status) -> ConsumerObserved:
        """See ModeReconciler."""
        parts = self._parts
        try:
            grant = await self._grants.reconcile(builder, self._clock())
        except ProviderPending as pending:
            return ConsumerObserved(blocked=Pending(Reason.PROVIDER_NOT_READY, str(pending)))
        wanted = consumers.children(builder, grant, parts.platform)
        await self._renew(builder, grant, wanted, previous)
        await parts.check_references(builder)
        await parts.apply_set.apply(builder, wanted)
        rendered = injection.render(builder, parts.platform, confine(builder.spec, PodSecurity()))
        observed = ConsumerObserved(grant=grant, injection=rendered)
        if previous.get("injection") != rendered:
            return replace(observed, is_new=True)
        blocked = await parts.finish(builder, wanted)
        return replace(observed, blocked=blocked, probe=await parts.probed(builder, rendered, previous))

    async def observe_suspended(self, builder: BuildKitBuilder, previous: Status) -> ConsumerObserved:
        """See ModeReconciler."""
        try:
            grant = await self._grants.reconcile(builder, self._clock())
            await self._renew(builder, grant, consumers.children(builder, grant, self._parts.platform), previous)
            return ConsumerObserved(grant=await self._grants.observe(builder, self._clock()))
        except ProviderPending as pending:
            return ConsumerObserved(blocked=Pending(Reason.PROVIDER_NOT_READY, str(pending)))
        except TerminalError as error:
            return ConsumerObserved(blocked=error)

    async def _renew(self, builder: BuildKitBuilder, grant: Grant, wanted: list[Manifest], previous: Status) -> None:
        """Write a certificate that is due, whatever else is wrong with the builder: it lives for a day."""
        if is_told(previous, network.endpoint(grant.provider)):
            secrets = [manifest for manifest in wanted if manifest["kind"] == SECRET.kind]
            await self._parts.apply_set.apply_each(builder, secrets)
