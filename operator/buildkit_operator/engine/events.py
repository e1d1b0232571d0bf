"""Event recorder: Kubernetes Events that say what changed, for those who run `kubectl describe`.

They are written as `events.k8s.io/v1`: the API that replaced core/v1 Events (KEP-383), stored in the same place, so
that kubectl shows them alike; it insists on an action and a reporting controller, and creating is all it needs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal

from buildkit_operator.engine.leader_election import NotLeader
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.errors import ApiError
from buildkit_operator.kube.resources import EVENT, Manifest

MAX_NOTE_LENGTH: Final = 1024
"""Bytes, in UTF-8, that the API server accepts in a note."""
REPEAT_SECONDS: Final = 600.0
"""The same event about the same object is written once in this time."""
REMEMBERED_EVENTS: Final = 2048
WAITING_EVENTS: Final = 512
"""Events that wait to be written; more are dropped while the API server is away."""

logger = logging.getLogger(__name__)


class EventRecorder:
    """Writes events in the background. They are a courtesy: one that cannot be written is logged and forgotten."""

    def __init__(self, client: Client, controller: str, instance: str, shorten: Callable[[str, int], str]) -> None:
        """Report as `controller`, a qualified name, of which this process is the `instance`.

        `shorten` returns a note cut to so many bytes.
        """
        self._client = client
        self._controller = controller
        self._instance = instance
        self._shorten = shorten
        self._waiting: asyncio.Queue[Manifest] = asyncio.Queue(WAITING_EVENTS)
        self._recent: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    def event(
        self,
        regarding: Manifest,
        type: Literal["Normal", "Warning"],  # noqa: A002  the API's word
        reason: str,
        note: str,
        action: str,
    ) -> None:
        """Tell a change of an object: a CamelCase reason from a fixed vocabulary, a sentence, and what was being done.

        Never raises. A note's line breaks become spaces; what exceeds 1024 bytes is cut by `shorten`.
        """
        note = self._shorten(" ".join(note.split()), MAX_NOTE_LENGTH)
        if self._is_repeat((regarding["metadata"]["uid"], reason, note)):
            return
        try:
            self._waiting.put_nowait(self._manifest(regarding, type, reason, note, action))
        except asyncio.QueueFull:
            logger.warning("Too many events wait to be written; dropped: %s", note)

    async def run(self) -> None:
        """Write events as they come, for ever."""
        while True:
            event = await self._waiting.get()
            try:
                await self._client.create(event)
            except (ApiError, NotLeader) as error:
                logger.warning("An event was not written (%s): %s", error, event["note"])
            finally:
                self._waiting.task_done()

    async def flush(self) -> None:
        """Wait until every event told so far is written or given up."""
        await self._waiting.join()

    def _is_repeat(self, what: tuple[str, str, str]) -> bool:
        now = time.monotonic()
        told_at = self._recent.get(what)
        if told_at is not None and now < told_at + REPEAT_SECONDS:
            return True
        self._recent.pop(what, None)
        self._recent[what] = now
        if len(self._recent) > REMEMBERED_EVENTS:
            self._recent.popitem(last=False)
        return False

    def _manifest(self, regarding: Manifest, event_type: str, reason: str, note: str, action: str) -> Manifest:
        metadata = regarding["metadata"]
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            # As client-go names them: the object's name and the time, which nothing else tells about.
            "metadata": {"name": f"{metadata['name']}.{time.time_ns():x}", "namespace": metadata["namespace"]},
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "type": event_type,
            "reason": reason,
            "note": note,
            "action": action,
            "reportingController": self._controller,
            "reportingInstance": self._instance,
            "regarding": {
                "apiVersion": regarding["apiVersion"],
                "kind": regarding["kind"],
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            },
        }
