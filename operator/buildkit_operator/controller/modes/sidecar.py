"""Mode Sidecar: nothing but a ConfigMap is applied; the injection is rendered, and probed by an admission dry run."""

from __future__ import annotations

from dataclasses import replace

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.controller.modes import ModeReconciler, Parts
from buildkit_operator.controller.namespaces import NamespaceCache
from buildkit_operator.desired import children, injection
from buildkit_operator.desired.isolation import confine
from buildkit_operator.status import ProbeResult, SidecarObserved, Status
from buildkit_operator.status.diagnosis.daemons import diagnose_namespace


class SidecarReconciler(ModeReconciler):
    """See ModeReconciler."""

    def __init__(self, parts: Parts, namespaces: NamespaceCache) -> None:
        """Ask `namespaces` what Pod Security makes of runner pods."""
        super().__init__(parts)
        self._namespaces = namespaces

    async def reconcile(self, builder: BuildKitBuilder, previous: Status) -> SidecarObserved:
        """See ModeReconciler."""
        parts = self._parts
        enforced = await self._namespaces.pod_security(builder.metadata.namespace)
        confinement = confine(builder.spec, enforced)
        wanted = children(builder, parts.platform, None, confinement)
        await parts.check_references(builder)
        await parts.apply_set.apply(builder, wanted)
        rendered = injection.render(builder, parts.platform, confinement)
        observed = SidecarObserved(confinement=confinement, injection=rendered)
        refused = diagnose_namespace(builder, enforced)
        if refused is not None:
            # None is made meanwhile: one that was due would have the builder reconciled over and over.
            parts.probe.forget(builder.metadata.namespace, builder.metadata.name)
            observed = replace(observed, probe=ProbeResult(served=False, finding=refused))
        if previous.get("injection") != rendered:
            return replace(observed, is_new=True)
        observed = replace(observed, blocked=await parts.finish(builder, wanted))
        if refused is not None:
            return observed
        return replace(observed, probe=await parts.probed(builder, rendered, previous))

    async def observe_suspended(self, builder: BuildKitBuilder, previous: Status) -> SidecarObserved:
        """See ModeReconciler."""
        if "injection" not in previous:
            return SidecarObserved()
        rendered = previous["injection"]
        return SidecarObserved(injection=rendered, probe=await self._parts.probed(builder, rendered, previous))
