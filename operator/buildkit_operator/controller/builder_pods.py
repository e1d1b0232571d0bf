"""Pods of a builder, from the informer cache: those of its daemons, and runner pods that were given it."""

from __future__ import annotations

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.engine.cache import Cache
from buildkit_operator.kube.resources import POD, Manifest
from buildkit_operator.status.diagnosis import runner_pods


class BuilderPods:
    """Tells the two apart: both have the owner label."""

    def __init__(self, cache: Cache) -> None:
        """Read from `cache`."""
        self._cache = cache

    def runners(self, builder: BuildKitBuilder) -> list[Manifest]:
        """Return the runner pods that were given the builder."""
        return [pod for pod in self._all(builder) if runner_pods.is_runner(pod)]

    def daemons(self, builder: BuildKitBuilder) -> list[Manifest]:
        """Return the pods of the builder's own daemons."""
        return [pod for pod in self._all(builder) if not runner_pods.is_runner(pod)]

    def _all(self, builder: BuildKitBuilder) -> list[Manifest]:
        return self._cache.children((builder.metadata.namespace, builder.metadata.name), POD)
