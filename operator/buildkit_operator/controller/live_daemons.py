"""A builder's own daemons, as the informer cache has them: workloads, pods and PVCs, which may be due for expansion."""

from __future__ import annotations

from collections.abc import Iterable

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.controller.builder_pods import BuilderPods
from buildkit_operator.controller.ownership import is_ours
from buildkit_operator.controller.volume_expansion import VolumeExpansion
from buildkit_operator.desired.claims import Claims, seen_claims
from buildkit_operator.engine.cache import Cache
from buildkit_operator.kube.resources import DEPLOYMENT, PERSISTENT_VOLUME_CLAIM, STATEFUL_SET, Manifest, Resource


class LiveDaemons:
    """What runs the daemons, and what they keep their cache on."""

    def __init__(self, cache: Cache, pods: BuilderPods, expansion: VolumeExpansion) -> None:
        """Read from `cache`; `expansion` knows which PVCs may not be resized."""
        self._cache = cache
        self._pods = pods
        self._expansion = expansion

    def pods(self, builder: BuildKitBuilder) -> list[Manifest]:
        """Return the daemons' pods."""
        return self._pods.daemons(builder)

    def workloads(self, builder: BuildKitBuilder) -> list[Manifest]:
        """Return what runs the daemons: of each architecture, while it is replaced by the other kind, the one wanted.

        While there is none of those that are wanted, what there is of others.
        """
        name = builder.metadata.name
        wanted = [names.daemon(name, architecture) for architecture in builder.shared.each_architecture]
        return self._workloads(builder, wanted) or self._workloads(builder, names.daemons(name))

    def claims(self, builder: BuildKitBuilder) -> Claims:
        """Return the PVCs that the daemons use."""
        key = (builder.metadata.namespace, builder.metadata.name)
        live = self._cache.children(key, PERSISTENT_VOLUME_CLAIM)
        known = (self._of_kind(builder, STATEFUL_SET, name) for name in names.daemons(builder.metadata.name))
        sets = [found for found in known if found is not None]
        return seen_claims(builder, sets, live, self._expansion.refusals(builder))

    async def expand_volumes(self, builder: BuildKitBuilder) -> None:
        """Have the PVCs resized to the size that the builder asks for. Raises kube.errors.ApiError."""
        await self._expansion.reconcile(builder, self.claims(builder))

    def _workloads(self, builder: BuildKitBuilder, called: Iterable[str]) -> list[Manifest]:
        kinds = (DEPLOYMENT, STATEFUL_SET)
        if builder.spec.cache.persistent_volume_claim is not None:
            kinds = (STATEFUL_SET, DEPLOYMENT)
        found = (next((o for kind in kinds if (o := self._of_kind(builder, kind, name))), None) for name in called)
        return [workload for workload in found if workload is not None]

    def _of_kind(self, builder: BuildKitBuilder, kind: Resource, name: str) -> Manifest | None:
        found = self._cache.get(kind, builder.metadata.namespace, name)
        return found if found is not None and is_ours(found, builder) else None
