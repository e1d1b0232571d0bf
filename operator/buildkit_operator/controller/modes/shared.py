"""Mode Shared with daemons of the builder's own: their certificates, workload and PVCs."""

from __future__ import annotations

from dataclasses import replace

from buildkit_operator.api.builder import BuildKitBuilder, Isolation
from buildkit_operator.api.reasons import Reason
from buildkit_operator.controller.apply_set import ApplySet
from buildkit_operator.controller.cert_manager_requests import CertificatePending
from buildkit_operator.controller.certificate_issuance import CertificateIssuance
from buildkit_operator.controller.live_daemons import LiveDaemons
from buildkit_operator.controller.modes import ModeReconciler
from buildkit_operator.controller.namespaces import NamespaceCache
from buildkit_operator.desired import children, injection
from buildkit_operator.desired.certificates import Certificates
from buildkit_operator.desired.isolation import PodSecurity, confine
from buildkit_operator.desired.platform import Platform
from buildkit_operator.status import DaemonsObserved, Pending, Status


class SharedReconciler(ModeReconciler):
    """See ModeReconciler."""

    def __init__(
        self,
        apply_set: ApplySet,
        issuance: CertificateIssuance,
        namespaces: NamespaceCache,
        daemons: LiveDaemons,
        platform: Platform,
    ) -> None:
        """Have certificates from `issuance`; `daemons` are those that are there."""
        self._apply_set = apply_set
        self._issuance = issuance
        self._namespaces = namespaces
        self._daemons = daemons
        self._platform = platform

    async def reconcile(self, builder: BuildKitBuilder, previous: Status) -> DaemonsObserved:  # noqa: ARG002  ModeReconciler's
        """See ModeReconciler."""
        try:
            certificates = await self._issuance.reconcile(builder)
        except CertificatePending as pending:
            observed = await self.observe(builder)
            return replace(observed, blocked=Pending(Reason.CERTIFICATE_PENDING, str(pending)))
        enforced = await self._enforced(builder)
        confinement = confine(builder.spec, enforced)
        wanted = children(builder, self._platform, certificates, confinement, self._daemons.claims(builder))
        await self._apply_set.apply_and_prune(builder, wanted, self._issuance.filled_by_cert_manager(builder))
        await self._daemons.expand_volumes(builder)
        rendered = injection.render(builder, self._platform, confinement)
        observed = self._observed(builder, certificates)
        return replace(observed, confinement=confinement, enforced=enforced, injection=rendered)

    async def observe(self, builder: BuildKitBuilder) -> DaemonsObserved:
        """See ModeReconciler."""
        return self._observed(builder, await self._issuance.observe(builder))

    async def _enforced(self, builder: BuildKitBuilder) -> PodSecurity:
        """Return what Pod Security enforces, where that makes a difference to what is made or said."""
        # A Deployment says in its status that its pods are refused, a StatefulSet does not.
        tells_refusals = builder.spec.cache.persistent_volume_claim is None
        if builder.spec.isolation is Isolation.ROOTLESS and tells_refusals:
            return PodSecurity()
        return await self._namespaces.pod_security(builder.metadata.namespace)

    def _observed(self, builder: BuildKitBuilder, certificates: Certificates | None) -> DaemonsObserved:
        live = self._daemons
        return DaemonsObserved(live.workload(builder), live.pods(builder), certificates, claims=live.claims(builder))
