"""Mode Sidecar: nothing but a ConfigMap is applied; the injection is rendered, and probed by an admission dry run."""

from __future__ import annotations

from dataclasses import replace

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.controller.apply_set import ApplySet
from buildkit_operator.controller.cert_manager_requests import CertManagerRequests
from buildkit_operator.controller.injection_probe import InjectionProbe
from buildkit_operator.controller.modes import ModeReconciler
from buildkit_operator.controller.namespaces import NamespaceCache
from buildkit_operator.desired import children, injection
from buildkit_operator.desired.isolation import confine
from buildkit_operator.desired.platform import Platform
from buildkit_operator.kube.resources import Key, Manifest
from buildkit_operator.status import ProbeResult, SidecarObserved, Status, condition_of
from buildkit_operator.status.diagnosis.daemons import diagnose_namespace


class SidecarReconciler(ModeReconciler):
    """See ModeReconciler."""

    def __init__(
        self,
        apply_set: ApplySet,
        requests: CertManagerRequests,
        namespaces: NamespaceCache,
        probe: InjectionProbe,
        platform: Platform,
    ) -> None:
        """Probe by `probe` what runner pods get; `requests` are those of an earlier mode."""
        self._apply_set = apply_set
        self._requests = requests
        self._namespaces = namespaces
        self._probe = probe
        self._platform = platform

    async def reconcile(self, builder: BuildKitBuilder, previous: Status) -> SidecarObserved:
        """See ModeReconciler."""
        enforced = await self._namespaces.pod_security(builder.metadata.namespace)
        confinement = confine(builder.spec, enforced)
        await self._requests.withdraw(builder)
        await self._apply_set.apply_and_prune(builder, children(builder, self._platform, None, confinement))
        rendered = injection.render(builder, self._platform, confinement)
        observed = SidecarObserved(confinement=confinement, injection=rendered)
        refused = diagnose_namespace(builder, enforced)
        if refused is None:
            return replace(observed, probe=await self._probed(builder, rendered, previous))
        # None is made meanwhile: one that was due would have the builder reconciled over and over.
        self.forget((builder.metadata.namespace, builder.metadata.name))
        return replace(observed, probe=ProbeResult(served=False, finding=refused))

    async def observe_suspended(self, builder: BuildKitBuilder, previous: Status) -> SidecarObserved:
        """See ModeReconciler."""
        if "injection" not in previous:
            return SidecarObserved()
        return SidecarObserved(probe=await self._probed(builder, previous["injection"], previous))

    def requeue_after(self, builder: BuildKitBuilder) -> float | None:
        """See ModeReconciler."""
        return self._probe.requeue_after(builder)

    def forget(self, key: Key) -> None:
        """See ModeReconciler."""
        self._probe.forget(*key)

    async def _probed(self, builder: BuildKitBuilder, rendered: Manifest, previous: Status) -> ProbeResult | None:
        """Return the probe's result; None until the injection was written, as the engine reads it in the status."""
        if previous.get("injection") != rendered:
            return None
        was_ready = condition_of(previous).get("status") == "True"
        return await self._probe.result(builder, rendered, served_before=was_ready)
