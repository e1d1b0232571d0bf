"""Autoscaler: sees the demand for a builder's daemons, has their number decided, and the emptiest go first."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.controller.builder_pods import BuilderPods
from buildkit_operator.controller.daemon_builds import DaemonBuilds
from buildkit_operator.controller.live_daemons import LiveDaemons
from buildkit_operator.controller.namespaces import NamespaceCache
from buildkit_operator.desired.autoscaling import Demand, Scaling, Target, decide, last
from buildkit_operator.desired.consumers import admits, admits_by_labels
from buildkit_operator.engine.cache import Cache
from buildkit_operator.kube import errors
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import DEPLOYMENT, Key, Manifest
from buildkit_operator.status import Status
from buildkit_operator.status.diagnosis.daemons import workload_of

UNKNOWN_COST: Final = 1000
"""Deletion cost of a pod that does not tell its builds: it may have some."""

logger = logging.getLogger(__name__)


class Autoscaler:
    """Reads pods from the informer cache, and builds from the daemons."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        pods: BuilderPods,
        daemons: LiveDaemons,
        namespaces: NamespaceCache,
        clock: Callable[[], datetime],
    ) -> None:
        """Write deletion costs through `client`; `clock` tells the time that idleSeconds go by."""
        self._client = client
        self._cache = cache
        self._pods = pods
        self._daemons = daemons
        self._namespaces = namespaces
        self._clock = clock
        self._builds = DaemonBuilds()

    async def scaling(self, builder: BuildKitBuilder, previous: Status) -> Scaling | None:
        """Return how many daemons there should be, None where the spec says that. Raises kube.errors.ApiError."""
        target = Target.of(builder.shared) if builder.role is Role.DAEMONS else None
        if target is None:
            return None
        counts = [_replicas(workload) for workload in self._daemons.workloads(builder)]
        current, before = max(counts, default=None), previous.get("autoscaling") or {}
        if builder.spec.suspend:
            return last(before, before.get("desiredReplicas", current or 0))
        return decide(target, await self._demand(builder, target), current, before, self._clock())

    async def let_emptiest_go_first(self, builder: BuildKitBuilder) -> None:
        """Have Deployments that are to have fewer pods take the emptiest away. Raises kube.errors.ApiError.

        ReplicaSets go by the cost that each pod has (KEP-2255). A StatefulSet takes the highest ordinal, whatever runs
        there; either way a pod ends once its builds have.
        """
        shrinking = {
            workload["metadata"]["name"]
            for workload in self._daemons.workloads(builder)
            if workload["kind"] == DEPLOYMENT.kind and 0 < builder.shared.replicas < _replicas(workload)
        }
        if not shrinking:
            return
        pods = [pod for pod in self._daemons.pods(builder) if workload_of(pod) in shrinking]
        builds = await self._builds.count(pods)
        for pod in pods:
            count = builds.get(pod["metadata"]["name"], 0)
            await self._give_cost(pod, UNKNOWN_COST if count is None else count)

    async def _give_cost(self, pod: Manifest, cost: int) -> None:
        metadata = pod["metadata"]
        if str(cost) == (metadata.get("annotations") or {}).get(names.DELETION_COST_ANNOTATION, "0"):
            return
        identity = {key: metadata[key] for key in ("name", "namespace", "uid")}
        note = {"annotations": {names.DELETION_COST_ANNOTATION: str(cost)}}
        try:
            await self._client.merge({"apiVersion": "v1", "kind": "Pod", "metadata": {**identity, **note}})
        except (errors.NotFound, errors.Conflict):
            return  # it has gone meanwhile
        except (errors.Forbidden, errors.Invalid) as error:
            # Another one may go then, once its builds have ended.
            logger.warning("Pod %s keeps its deletion cost: %s", metadata["name"], error)

    async def _demand(self, builder: BuildKitBuilder, target: Target) -> Demand:
        key = (builder.metadata.namespace, builder.metadata.name)
        runners = self._pods.count_runners(key)
        for consumer in self._cache.dependents(key):
            if await self._is_admitted(builder, consumer):
                runners += self._pods.count_runners(consumer)
        if target.per_build is None:
            return Demand(runners)
        builds = await self._builds.count(self._daemons.pods(builder))
        told = [count for count in builds.values() if count is not None]
        return Demand(runners, sum(told) if len(told) == len(builds) else None)

    async def _is_admitted(self, builder: BuildKitBuilder, consumer: Key) -> bool:
        """Tell whether a builder that refers to this one may: who is not admitted has no say in its size."""
        labels = await self._namespaces.labels(consumer[0]) if admits_by_labels(builder) else {}
        return admits(builder, consumer[0], labels)


def _replicas(workload: Manifest) -> int:
    return int(workload["spec"].get("replicas", 1))
