"""Mode Shared with another namespace's daemons: a connector to them, and a certificate of the builder's own."""

from __future__ import annotations

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.controller.grants import Consumers, ProviderPending
from buildkit_operator.controller.modes import Parts, Serving
from buildkit_operator.desired import consumers, injection
from buildkit_operator.desired.isolation import PodSecurity, confine
from buildkit_operator.status import Observed, Status


class Consumer(Serving):
    """See Serving. What the builder has stays where its provider will not have it any more."""

    def __init__(self, parts: Parts, lender: Consumers) -> None:
        """Ask `lender` for what providers give."""
        super().__init__(parts)
        self._lender = lender

    async def bring_about(self, builder: BuildKitBuilder, previous: Status) -> Observed:  # noqa: ARG002  Serving's
        """See Serving."""
        parts = self._parts
        try:
            grant = await self._lender.borrow(builder, parts.clock())
        except ProviderPending as pending:
            return Observed(waiting_for=str(pending), waiting_reason=Reason.PROVIDER_NOT_READY)
        await parts.cert_manager.withdraw(builder)
        await parts.apply(builder, consumers.children(builder, grant, parts.platform))
        rendered = injection.render(builder, parts.platform, confine(builder.spec, PodSecurity()))
        return Observed(grant=grant, injection=rendered)

    async def rest(self, builder: BuildKitBuilder, previous: Status) -> Observed:  # noqa: ARG002  Serving's
        """See Serving."""
        try:
            return Observed(grant=await self._lender.lent(builder, self._parts.clock()))
        except TerminalError as problem:
            return Observed(problem=problem)
