"""Mode Sidecar: nothing but a ConfigMap is made; what runner pods get is rendered, and tried on the API server."""

from __future__ import annotations

from dataclasses import replace

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.controller.injection_probe import Trials
from buildkit_operator.controller.modes import Parts, Serving
from buildkit_operator.desired import children, injection
from buildkit_operator.desired.isolation import confine
from buildkit_operator.desired.metadata import Manifest
from buildkit_operator.status import Observed, Status, Trial, condition_of
from buildkit_operator.status.diagnosis.daemons import diagnose_namespace


class Sidecar(Serving):
    """See Serving."""

    def __init__(self, parts: Parts, trials: Trials) -> None:
        """Have runner pods tried by `trials`."""
        super().__init__(parts)
        self._trials = trials

    async def bring_about(self, builder: BuildKitBuilder, previous: Status) -> Observed:
        """See Serving."""
        parts = self._parts
        enforced = await parts.surroundings.pod_security(builder.metadata.namespace)
        confinement = confine(builder.spec, enforced)
        await parts.cert_manager.withdraw(builder)
        await parts.apply(builder, children(builder, parts.platform, None, confinement))
        rendered = injection.render(builder, parts.platform, confinement)
        observed = Observed(confinement=confinement, enforced=enforced, injection=rendered)
        refused = diagnose_namespace(builder, enforced)
        if refused is None:
            return replace(observed, trial=await self._trial(builder, rendered, previous))
        # None is made meanwhile: one that was due would have the builder looked at over and over.
        self._trials.forget(builder.metadata.namespace, builder.metadata.name)
        return replace(observed, trial=Trial(served=False, finding=refused))

    async def rest(self, builder: BuildKitBuilder, previous: Status) -> Observed:
        """See Serving."""
        if "injection" not in previous:
            return Observed()
        return Observed(trial=await self._trial(builder, previous["injection"], previous))

    async def _trial(self, builder: BuildKitBuilder, rendered: Manifest, previous: Status) -> Trial | None:
        """Try a runner pod, once the engine can know what it gets."""
        if previous.get("injection") != rendered:
            return None
        was_ready = condition_of(previous).get("status") == "True"
        return await self._trials.of(builder, rendered, served_before=was_ready)
