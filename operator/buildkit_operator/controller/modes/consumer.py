"""Mode Shared with the daemons of a provider in another namespace: a connector to them, and a certificate granted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.controller.apply_set import ApplySet
from buildkit_operator.controller.cert_manager_requests import CertManagerRequests
from buildkit_operator.controller.grants import Grants, ProviderPending
from buildkit_operator.controller.modes import ModeReconciler
from buildkit_operator.desired import consumers, injection
from buildkit_operator.desired.isolation import PodSecurity, confine
from buildkit_operator.desired.platform import Platform
from buildkit_operator.status import ConsumerObserved, Pending, Status


class ConsumerReconciler(ModeReconciler):
    """See ModeReconciler. What the builder has stays where its provider does not admit it any more."""

    def __init__(
        self,
        apply_set: ApplySet,
        requests: CertManagerRequests,
        grants: Grants,
        platform: Platform,
        clock: Callable[[], datetime],
    ) -> None:
        """Have access granted by `grants`; `requests` are those of an earlier mode."""
        self._apply_set = apply_set
        self._requests = requests
        self._grants = grants
        self._platform = platform
        self._clock = clock

    async def reconcile(self, builder: BuildKitBuilder, previous: Status) -> ConsumerObserved:  # noqa: ARG002  ModeReconciler's
        """See ModeReconciler."""
        try:
            grant = await self._grants.reconcile(builder, self._clock())
        except ProviderPending as pending:
            return ConsumerObserved(blocked=Pending(Reason.PROVIDER_NOT_READY, str(pending)))
        await self._requests.withdraw(builder)
        await self._apply_set.apply_and_prune(builder, consumers.children(builder, grant, self._platform))
        rendered = injection.render(builder, self._platform, confine(builder.spec, PodSecurity()))
        return ConsumerObserved(grant=grant, injection=rendered)

    async def observe_suspended(self, builder: BuildKitBuilder, previous: Status) -> ConsumerObserved:  # noqa: ARG002  see above
        """See ModeReconciler."""
        try:
            return ConsumerObserved(grant=await self._grants.observe(builder, self._clock()))
        except TerminalError as error:
            return ConsumerObserved(blocked=error)
