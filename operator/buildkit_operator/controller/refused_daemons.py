"""Refusals of daemons' pods: a StatefulSet tells of them in events alone, so the operator tries a pod of it, too.

A Deployment has the refusal in its status.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.desired.workload import STATEFUL_SET
from buildkit_operator.kube import errors
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import Key, Manifest
from buildkit_operator.status.diagnosis.daemons import Finding, refused_daemon
from buildkit_operator.status.observed import Counts

RETRY_SECONDS: Final = 10.0
"""Seconds for which an answer is believed while pods are missing."""


class RefusedDaemons:
    """Tries a pod, as a dry run, of each StatefulSet that lacks some."""

    def __init__(self, client: Client, clock: Callable[[], float]) -> None:
        """Try by `client`; `clock` gives seconds and never goes back."""
        self._client = client
        self._clock = clock
        self._answers: dict[Key, tuple[float, Finding | None]] = {}

    async def findings(self, builder: BuildKitBuilder, workloads: Iterable[Manifest]) -> dict[str, Finding]:
        """Return by the name of a workload why the API server refuses the pods that it lacks; others have none."""
        found = {workload["metadata"]["name"]: await self._finding(builder, workload) for workload in workloads}
        return {name: finding for name, finding in found.items() if finding is not None}

    async def _finding(self, builder: BuildKitBuilder, workload: Manifest) -> Finding | None:
        key = (builder.metadata.namespace, workload["metadata"]["name"])
        if not _lacks_pods(workload):
            self._answers.pop(key, None)
            return None
        until, finding = self._answers.get(key, (0.0, None))
        if self._clock() >= until:
            finding = await self._try(builder, workload)
            self._answers[key] = (self._clock() + RETRY_SECONDS, finding)
        return finding

    async def _try(self, builder: BuildKitBuilder, workload: Manifest) -> Finding | None:
        try:
            await self._client.try_to_create(_pod(workload))
        except errors.ApiError as error:
            is_missing_right = isinstance(error, errors.Forbidden) and error.missing_right is not None
            # A webhook that cannot be asked refuses pods as well, for as long as that lasts.
            if is_missing_right or (error.transient and "webhook" not in str(error)):
                return None
            # The API server makes up the end of the name; told each time anew it would be news.
            name = re.escape(workload["metadata"]["name"])
            return refused_daemon(builder, re.sub(rf"\b({name}-)[a-z0-9]+", r"\1…", str(error)))
        return None


def _lacks_pods(workload: Manifest) -> bool:
    counts = Counts.of(workload)
    return workload["kind"] == STATEFUL_SET and counts.seen and counts.total < int(workload["spec"]["replicas"])


def _pod(workload: Manifest) -> Manifest:
    """Return a pod as the StatefulSet's controller would make it, but for its name and its claim's."""
    metadata, spec = workload["metadata"], workload["spec"]
    template = spec["template"]
    claims = [
        {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]}}
        for claim in spec.get("volumeClaimTemplates") or ()
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{metadata['name']}-",
            "namespace": metadata["namespace"],
            "labels": template["metadata"].get("labels") or {},
            "annotations": template["metadata"].get("annotations") or {},
        },
        "spec": {**template["spec"], "volumes": [*(template["spec"].get("volumes") or ()), *claims]},
    }
