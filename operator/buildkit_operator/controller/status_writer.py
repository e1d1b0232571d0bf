"""Status writer: server-side apply of a builder's status where it changed, and then the event that tells of it."""

from __future__ import annotations

import logging
import time
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.reasons import row
from buildkit_operator.engine.events import EventRecorder
from buildkit_operator.engine.rate_limiter import RateLimiter
from buildkit_operator.kube import errors
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import Key, Manifest
from buildkit_operator.status import Status, condition_of, differs_in_counts_only

COUNTS_INTERVAL: Final = 5.0
"""Seconds between two writes of the numbers of runner pods alone: a busy CI starts and ends several pods a second."""

logger = logging.getLogger(__name__)


class StatusWriter:
    """Writes at most once in a reconcile, and nothing that is already so."""

    def __init__(self, client: Client, recorder: EventRecorder) -> None:
        """Write through `client`, and tell of changes by `recorder`."""
        self._client = client
        self._recorder = recorder
        self._counts = RateLimiter(COUNTS_INTERVAL, time.monotonic)

    async def write(self, resource: Manifest, status: Status) -> float | None:
        """Write the status if it changed, and an event if Ready or its reason did.

        Returns the seconds after which it has to be written, where that is not now. Raises kube.errors.ApiError.
        """
        metadata, previous = resource["metadata"], resource.get("status", {})
        if status == previous:
            return None
        key = (metadata["namespace"], metadata["name"])
        if differs_in_counts_only(status, previous) and (pause := self._counts.pause(key)):
            return pause
        try:
            await self._apply(resource, status)
        except errors.NotFound:
            return None  # it was deleted meanwhile, and there is nobody to tell
        self._tell(resource, status, previous)
        return None

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a builder that is gone."""
        self._counts.forget(key)

    async def _apply(self, resource: Manifest, status: Status) -> None:
        metadata = resource["metadata"]
        await self._client.apply_status(
            {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "metadata": {key: metadata[key] for key in ("name", "namespace", "uid")},
                "status": status,
            }
        )

    def _tell(self, resource: Manifest, status: Status, previous: Status) -> None:
        ready, before = condition_of(status), condition_of(previous)
        if (ready["status"], ready["reason"]) == (before.get("status"), before.get("reason")):
            return
        builder = "/".join((resource["metadata"]["namespace"], resource["metadata"]["name"]))
        logger.info("%s: %s", ready["reason"], ready["message"], extra={"builder": builder})
        event_type = "Normal" if ready["status"] == "True" else row(ready["reason"]).event_type
        self._recorder.event(resource, event_type, ready["reason"], ready["message"], action="Reconcile")
