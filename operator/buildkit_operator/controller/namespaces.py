"""TTL cache of namespaces' labels and the server's version, which builders go by: neither is watched."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from buildkit_operator.admission.matching import ENABLED
from buildkit_operator.api import names
from buildkit_operator.desired.isolation import PodSecurity
from buildkit_operator.kube import errors
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import NAMESPACE

LABELS_TTL: Final = 8.0
"""In seconds: shorter than the requeue interval of a builder with a problem."""

logger = logging.getLogger(__name__)


class NamespaceCache:
    """Reads namespaces and the server's version."""

    def __init__(self, client: Client, clock: Callable[[], float], resync_seconds: float) -> None:
        """Read through `client`; `clock` gives seconds and never goes back. The version is asked anew each resync."""
        self._client = client
        self._clock = clock
        self._resync_seconds = resync_seconds
        self._read: dict[str, tuple[float, dict[str, str] | None]] = {}
        self._minor = 0
        self._minor_until = 0.0

    async def pod_security(self, namespace: str) -> PodSecurity:
        """Return what a namespace enforces: nothing where its labels may not be read. Raises kube.errors.ApiError."""
        labels = await self.labels(namespace)
        return PodSecurity.of(labels, await self._server_minor(self._clock()))

    async def labels(self, namespace: str) -> dict[str, str]:
        """Return a namespace's labels: none where they may not be read. Raises kube.errors.ApiError."""
        return await self._labels(namespace) or {}

    async def lets_builders_pick(self, namespace: str) -> bool | None:
        """Tell whether builders may pick a namespace's pods, None where its labels may not be read.

        Raises kube.errors.ApiError.
        """
        labels = await self._labels(namespace)
        return None if labels is None else labels.get(names.INJECTION_LABEL) == ENABLED

    async def _labels(self, namespace: str) -> dict[str, str] | None:
        now = self._clock()
        self._forget_old(now)
        if namespace not in self._read:
            self._read[namespace] = (now + LABELS_TTL, await self._read_labels(namespace))
        return self._read[namespace][1]

    async def _read_labels(self, namespace: str) -> dict[str, str] | None:
        try:
            live = await self._client.get(NAMESPACE, None, namespace, metadata_only=True)
        except errors.Forbidden as error:
            logger.warning("The labels of namespace %s cannot be read: %s", namespace, error)
            return None
        labels: dict[str, str] = ((live or {}).get("metadata") or {}).get("labels") or {}
        return labels

    async def _server_minor(self, now: float) -> int:
        if now >= self._minor_until:
            self._minor = await self._client.server_minor()
            self._minor_until = now + self._resync_seconds
        return self._minor

    def _forget_old(self, now: float) -> None:
        """Drop what is too old; entries stand in the order in which they were read."""
        while self._read:
            oldest = next(iter(self._read))
            if self._read[oldest][0] > now:
                return
            del self._read[oldest]
