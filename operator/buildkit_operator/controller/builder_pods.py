"""Pods of a builder, from the informer cache: those of its daemons, and runner pods that were given it."""

from __future__ import annotations

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.engine.cache import Cache
from buildkit_operator.kube.manifests import has_ended
from buildkit_operator.kube.resources import POD, Key, Manifest
from buildkit_operator.status.diagnosis import runner_pods
from buildkit_operator.status.diagnosis.daemons import is_daemon


class BuilderPods:
    """Tells the two apart, and from pods that only have the owner label: whoever may create pods can set it."""

    def __init__(self, cache: Cache) -> None:
        """Read from `cache`."""
        self._cache = cache

    def runners(self, builder: BuildKitBuilder) -> list[Manifest]:
        """Return the runner pods that were given the builder."""
        return [pod for pod in self._all(builder) if runner_pods.is_runner(pod, builder.metadata.name)]

    def count_runners(self, key: Key) -> int:
        """Count the runner pods that were given a builder and have not ended."""
        pods = self._cache.children(key, POD)
        return sum(1 for pod in pods if not has_ended(pod) and runner_pods.is_runner(pod, key[1]))

    def daemons(self, builder: BuildKitBuilder) -> list[Manifest]:
        """Return the pods of the builder's own daemons."""
        return [pod for pod in self._all(builder) if is_daemon(pod, builder.metadata.name)]

    def mounted_config_maps(self, builder: BuildKitBuilder) -> set[str]:
        """Return the names of the ConfigMaps that runner pods which have not ended read."""
        found = {runner_pods.config_map_of(pod) for pod in self.runners(builder) if not has_ended(pod)}
        return {name for name in found if name is not None}

    def _all(self, builder: BuildKitBuilder) -> list[Manifest]:
        return self._cache.children((builder.metadata.namespace, builder.metadata.name), POD)
