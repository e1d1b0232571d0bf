"""Status writer: server-side apply of a builder's status where it changed, and then the event that tells of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.conditions import explained
from buildkit_operator.api.reasons import TerminalError, row
from buildkit_operator.controller import refusals
from buildkit_operator.controller.installations import Installations
from buildkit_operator.engine.events import EventRecorder
from buildkit_operator.engine.rate_limiter import RateLimiter
from buildkit_operator.kube import errors
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import Key, Manifest
from buildkit_operator.status import Status, condition_of, differs_in_counts_only, status_for_failed

COUNTS_INTERVAL: Final = 5.0
"""Seconds between two writes of the numbers of runner pods alone: a busy CI starts and ends several pods a second."""

REFUSED_INTERVAL: Final = 60.0
"""Seconds until a status that the API server refused is written again."""

logger = logging.getLogger(__name__)


class StatusWriter:
    """Writes at most once in a reconcile, and nothing that is already so."""

    def __init__(
        self, client: Client, recorder: EventRecorder, installations: Installations, clock: Callable[[], datetime]
    ) -> None:
        """Write through `client`, and tell of changes by `recorder`; `clock` gives the time of conditions.

        A status names this one of the `installations`, which is in charge of the builder then.
        """
        self._clock = clock
        self._client = client
        self._recorder = recorder
        self.installations = installations
        self._counts = RateLimiter(COUNTS_INTERVAL, time.monotonic)

    async def write(self, resource: Manifest, status: Status) -> float | None:
        """Write the status if it changed, and an event if Ready or its reason did.

        Returns the seconds after which it has to be written, where that is not now. Raises kube.errors.ApiError.

        Of two installations that take charge of a builder at the same time, the one that wrote last is: both read the
        same status then. A resourceVersion would decide it as well, and keep a builder that is edited all the time from
        its first status.
        """
        metadata, previous = resource["metadata"], resource.get("status", {})
        status = {**status, "managedBy": self.installations.own}
        if status == previous:
            return None
        key = (metadata["namespace"], metadata["name"])
        if differs_in_counts_only(status, previous) and (pause := self._counts.pause(key)):
            return pause
        try:
            await self._apply(resource, status)
        except errors.NotFound:
            return None  # it was deleted meanwhile, and there is nobody to tell
        except errors.Invalid as error:
            await self._write_less(resource, refusals.of_status(error))
            return REFUSED_INTERVAL
        except errors.Forbidden as error:
            self._tell_in_event(resource, refusals.of_status(error))
            raise
        self._tell(resource, status, previous)
        return None

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a builder that is gone."""
        self._counts.forget(key)

    async def _write_less(self, resource: Manifest, problem: TerminalError) -> None:
        """Write that the status is refused, most often for its size: with what was told before, or with nothing else.

        Raises kube.errors.ApiError when that is refused as well.
        """
        previous: Status = resource.get("status", {})
        without_fields: Status = {"conditions": previous.get("conditions", [])}
        refused: errors.Invalid | None = None
        for kept in (previous, without_fields):
            less = status_for_failed(resource["metadata"]["generation"], problem, kept, self._clock())
            less |= {"managedBy": self.installations.own}
            if less == previous:
                return
            try:
                await self._apply(resource, less)
            except errors.Invalid as error:
                refused = error
            else:
                self._tell(resource, less, previous)
                return
        if refused is not None:
            self._tell_in_event(resource, problem)
            raise refused

    def _tell_in_event(self, resource: Manifest, problem: TerminalError) -> None:
        """Say in an event what no condition can."""
        note = explained(problem.reason, problem.message)
        self._recorder.event(resource, row(problem.reason).event_type, problem.reason, note, action="Reconcile")

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
