"""Mode Shared with daemons of the builder's own: their certificates, workload and claims."""

from __future__ import annotations

from dataclasses import replace

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder, Isolation
from buildkit_operator.api.reasons import Reason
from buildkit_operator.controller import certificates as keeper
from buildkit_operator.controller.cert_manager import CertificatePending
from buildkit_operator.controller.modes import Parts, Serving
from buildkit_operator.controller.volume_expansion import Growth
from buildkit_operator.desired import children, injection, issued_by_cert_manager, needs_certificates
from buildkit_operator.desired.cert_manager import requests
from buildkit_operator.desired.certificates import Certificates
from buildkit_operator.desired.claims import Claims, seen_claims
from buildkit_operator.desired.isolation import PodSecurity, confine
from buildkit_operator.desired.metadata import Manifest
from buildkit_operator.engine.cache import owned_by
from buildkit_operator.kube.resources import DEPLOYMENT, PERSISTENT_VOLUME_CLAIM, STATEFUL_SET, Resource
from buildkit_operator.status import Observed, Status


class Shared(Serving):
    """See Serving."""

    def __init__(self, parts: Parts, growth: Growth) -> None:
        """Have claims grow by `growth`."""
        super().__init__(parts)
        self._growth = growth

    async def bring_about(self, builder: BuildKitBuilder, previous: Status) -> Observed:  # noqa: ARG002  Serving's
        """See Serving."""
        parts = self._parts
        try:
            certificates = await self._certificates(builder)
        except CertificatePending as pending:
            observed = await self.look(builder)
            return replace(observed, waiting_for=str(pending), waiting_reason=Reason.CERTIFICATE_PENDING)
        enforced = await self._enforced(builder)
        confinement = confine(builder.spec, enforced)
        ordered = requests(builder, parts.platform.cluster_domain) if issued_by_cert_manager(builder) else []
        wanted = children(builder, parts.platform, certificates, confinement, self._claims(builder))
        await parts.apply(builder, wanted, ordered)
        await self._growth.grow(builder, self._claims(builder))
        rendered = injection.render(builder, parts.platform, confinement)
        observed = self._observed(builder, certificates)
        return replace(observed, confinement=confinement, enforced=enforced, injection=rendered)

    async def look(self, builder: BuildKitBuilder) -> Observed:
        """See Serving."""
        return self._observed(builder, await self._stored_certificates(builder))

    async def _certificates(self, builder: BuildKitBuilder) -> Certificates | None:
        """Return certificates that will do. Raises CertificatePending and what `bring_about` raises."""
        parts, now = self._parts, self._parts.clock()
        if issued_by_cert_manager(builder):
            return await parts.cert_manager.obtain(builder, parts.platform.cluster_domain, now)
        await parts.cert_manager.withdraw(builder)
        if not needs_certificates(builder):
            return None
        found = await keeper.find(builder, parts.secrets)
        return keeper.completed(builder, found, parts.platform.cluster_domain, parts.lifetimes, now)

    async def _stored_certificates(self, builder: BuildKitBuilder) -> Certificates | None:
        parts, now = self._parts, self._parts.clock()
        if issued_by_cert_manager(builder):
            return await parts.cert_manager.stored(builder, now)
        if not needs_certificates(builder):
            return None
        return (await keeper.find(builder, parts.secrets)).complete(parts.lifetimes, now)

    async def _enforced(self, builder: BuildKitBuilder) -> PodSecurity:
        """Return what Pod Security enforces, where that makes a difference to what is made or said."""
        # A Deployment says in its status that its pods are refused, a StatefulSet does not.
        tells_refusals = builder.spec.cache.persistent_volume_claim is None
        if builder.spec.isolation is Isolation.ROOTLESS and tells_refusals:
            return PodSecurity()
        return await self._parts.surroundings.pod_security(builder.metadata.namespace)

    def _observed(self, builder: BuildKitBuilder, certificates: Certificates | None) -> Observed:
        pods = self._parts.daemons(builder)
        return Observed(self._workload(builder), pods, certificates, claims=self._claims(builder))

    def _workload(self, builder: BuildKitBuilder) -> Manifest | None:
        """Return what runs the daemons: while it is replaced by the other kind, the one that is wanted."""
        kinds = (DEPLOYMENT, STATEFUL_SET)
        if builder.spec.cache.persistent_volume_claim is not None:
            kinds = (STATEFUL_SET, DEPLOYMENT)
        return next((found for kind in kinds if (found := self._of_kind(builder, kind))), None)

    def _of_kind(self, builder: BuildKitBuilder, kind: Resource) -> Manifest | None:
        found = self._parts.cache.get(kind, builder.metadata.namespace, names.daemon(builder.metadata.name))
        return found if found is not None and owned_by(found, builder.metadata.uid) else None

    def _claims(self, builder: BuildKitBuilder) -> Claims:
        key = (builder.metadata.namespace, builder.metadata.name)
        live = self._parts.cache.children(key, PERSISTENT_VOLUME_CLAIM)
        return seen_claims(builder, self._of_kind(builder, STATEFUL_SET), live, self._growth.refusals(builder))
