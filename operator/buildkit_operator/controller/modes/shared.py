"""Mode Shared with daemons of the builder's own: their certificates, workload and PVCs."""

from __future__ import annotations

from dataclasses import replace

from buildkit_operator.api.builder import BuildKitBuilder, Isolation
from buildkit_operator.api.reasons import Reason
from buildkit_operator.controller.cert_manager_requests import CertificatePending
from buildkit_operator.controller.certificate_issuance import CertificateIssuance
from buildkit_operator.controller.live_daemons import LiveDaemons
from buildkit_operator.controller.modes import ModeReconciler, Parts, is_told
from buildkit_operator.controller.namespaces import NamespaceCache
from buildkit_operator.controller.refused_daemons import RefusedDaemons
from buildkit_operator.desired import children, injection, network
from buildkit_operator.desired.certificates import Certificates, secrets
from buildkit_operator.desired.isolation import PodSecurity, confine
from buildkit_operator.status import DaemonsObserved, Pending, Status


class SharedReconciler(ModeReconciler):
    """See ModeReconciler."""

    def __init__(
        self,
        parts: Parts,
        issuance: CertificateIssuance,
        namespaces: NamespaceCache,
        daemons: LiveDaemons,
        refused: RefusedDaemons,
    ) -> None:
        """Have certificates from `issuance`; `daemons` are those that are there, `refused` tells why others are not."""
        super().__init__(parts)
        self._issuance = issuance
        self._namespaces = namespaces
        self._daemons = daemons
        self._refused = refused

    async def reconcile(self, builder: BuildKitBuilder, previous: Status) -> DaemonsObserved:
        """See ModeReconciler."""
        parts = self._parts
        try:
            certificates = await self._issuance.reconcile(builder)
        except CertificatePending as pending:
            observed = await self.observe(builder)
            return replace(observed, blocked=Pending(Reason.CERTIFICATE_PENDING, str(pending)))
        await self._renew(builder, certificates, previous)
        await parts.check_references(builder)
        enforced = await self._enforced(builder)
        confinement = confine(builder.spec, enforced)
        wanted = children(builder, parts.platform, certificates, confinement, self._daemons.claims(builder))
        await parts.autoscaler.let_emptiest_go_first(builder)
        await parts.apply_set.apply(builder, wanted)
        await self._daemons.expand_volumes(builder)
        rendered = injection.render(builder, parts.platform, confinement)
        observed = self._observed(builder, certificates)
        observed = replace(observed, refusals=await self._refused.findings(builder, observed.workloads))
        observed = replace(observed, confinement=confinement, enforced=enforced, injection=rendered)
        if previous.get("injection") != rendered:
            return replace(observed, is_new=True)
        blocked = await parts.finish(builder, wanted, self._issuance.filled_by_cert_manager(builder))
        return replace(observed, blocked=blocked, probe=await parts.probed(builder, rendered, previous))

    async def observe(self, builder: BuildKitBuilder) -> DaemonsObserved:
        """See ModeReconciler."""
        return self._observed(builder, await self._issuance.observe(builder))

    async def observe_suspended(self, builder: BuildKitBuilder, previous: Status) -> DaemonsObserved:
        """See ModeReconciler."""
        if is_told(previous, network.endpoint(builder)):
            await self._renew(builder, await self._issuance.renew(builder), previous)
        return await self.observe(builder)

    async def _renew(self, builder: BuildKitBuilder, certificates: Certificates | None, previous: Status) -> None:
        """Write certificates that are due, whatever else is wrong with the builder: clients have nothing else."""
        if certificates is not None and is_told(previous, network.endpoint(builder)):
            await self._parts.apply_set.apply_each(builder, secrets(builder, certificates))

    async def _enforced(self, builder: BuildKitBuilder) -> PodSecurity:
        """Return what Pod Security enforces, where that makes a difference to what is made or said."""
        # A Deployment says in its status that its pods are refused, a StatefulSet does not.
        tells_refusals = builder.spec.cache.persistent_volume_claim is None
        if builder.spec.isolation is Isolation.ROOTLESS and tells_refusals:
            return PodSecurity()
        return await self._namespaces.pod_security(builder.metadata.namespace)

    def _observed(self, builder: BuildKitBuilder, certificates: Certificates | None) -> DaemonsObserved:
        live = self._daemons
        return DaemonsObserved(live.workloads(builder), live.pods(builder), certificates, claims=live.claims(builder))
