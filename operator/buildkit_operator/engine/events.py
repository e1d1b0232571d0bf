"""Event recorder: Kubernetes Events that say what changed, for those who run `kubectl describe`.

They are written as `events.k8s.io/v1`: the API that replaced core/v1 Events (KEP-383), stored in the same place, so
that kubectl shows them alike; it insists on an action and a reporting controller, and creating is all it needs.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import Counter
from collections.abc import Callable
from typing import Final, Literal

from buildkit_operator.engine.leader_election import NotLeader
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.errors import ApiError, Conflict
from buildkit_operator.kube.resources import EVENT, Manifest

MAX_NOTE_LENGTH: Final = 1024
"""Bytes, in UTF-8, that the API server accepts in a note."""
REPEAT_SECONDS: Final = 600.0
"""The same event about the same object is written once in this time."""
REMEMBERED_EVENTS: Final = 16384
"""Events that are remembered of a namespace, as many as it may have runner pods that fail. More are not told: to
forget one that is still true would be to tell it again with every reconcile.
"""
WAITING_EVENTS: Final = 512
"""Events that wait to be written; what more is told while the API server is away or slow is told again later."""
WAITING_OF_A_NAMESPACE: Final = 256
"""Those of one namespace, which leave room for the others'."""

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
        self._waiting_of: Counter[str] = Counter()
        self._told: dict[str, dict[bytes, float]] = {}
        self._is_dropping = False

    def event(
        self,
        regarding: Manifest,
        type: Literal["Normal", "Warning"],  # noqa: A002  the API's word
        reason: str,
        note: str,
        action: str,
        *,
        is_state: bool = False,
    ) -> None:
        """Tell a change of an object: a CamelCase reason from a fixed vocabulary, a sentence, and what was being done.

        What `is_state` is no change, but told for as long as it is so. It is written anew when the API server has
        forgotten it, and by no other process before: its name is made of what it says.

        Never raises. A note's line breaks become spaces; what exceeds 1024 bytes is cut by `shorten`. What is told
        while too many events wait is dropped; told once more, it is written then.
        """
        note = self._shorten(" ".join(note.split()), MAX_NOTE_LENGTH)
        namespace, told = regarding["metadata"]["namespace"], _digest(regarding["metadata"]["uid"], reason, note)
        remembered = self._remembered(namespace)
        if told in remembered:
            return
        is_room = len(remembered) < REMEMBERED_EVENTS and self._waiting_of[namespace] < WAITING_OF_A_NAMESPACE
        if not is_room or self._waiting.full():
            self._drop(note)
            return
        self._is_dropping = False
        self._waiting.put_nowait(self._manifest(regarding, type, reason, note, action, told[:8] if is_state else None))
        self._waiting_of[namespace] += 1
        remembered[told] = time.monotonic() + REPEAT_SECONDS

    async def run(self) -> None:
        """Write events as they come, for ever."""
        while True:
            event = await self._waiting.get()
            try:
                await self._client.create(event)
            except Conflict:
                pass  # it was told before, perhaps by another process
            except (ApiError, NotLeader) as error:
                logger.warning("An event was not written (%s): %s", error, event["note"])
            finally:
                self._waiting.task_done()
                self._waiting_of -= Counter((event["metadata"]["namespace"],))  # which drops what is down to 0

    async def flush(self) -> None:
        """Wait until every event told so far is written or given up."""
        await self._waiting.join()

    def _remembered(self, namespace: str) -> dict[bytes, float]:
        """Return what was told of a namespace a short while ago, and forget what was told before."""
        for known in (namespace,) if namespace in self._told else (*self._told,):
            told = self._told[known]
            while told and told[oldest := next(iter(told))] <= time.monotonic():
                del told[oldest]
            if not told:
                del self._told[known]
        return self._told.setdefault(namespace, {})

    def _drop(self, note: str) -> None:
        """Say so once: what is dropped comes in thousands."""
        if not self._is_dropping:
            logger.warning("Too many events wait to be written, or were a short while ago; the first dropped: %s", note)
        self._is_dropping = True

    def _manifest(
        self, regarding: Manifest, event_type: str, reason: str, note: str, action: str, digest: bytes | None
    ) -> Manifest:
        metadata = regarding["metadata"]
        # As client-go names them: the object's name and the time, which nothing else tells about.
        told = f"{time.time_ns():x}" if digest is None else digest.hex()
        return {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"name": f"{metadata['name']}.{told}", "namespace": metadata["namespace"]},
            "eventTime": self._client.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
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


def _digest(*what: str) -> bytes:
    """Return what takes little room for what may be long, and is made of what others wrote."""
    return hashlib.blake2b("\0".join(what).encode(errors="surrogatepass"), digest_size=16).digest()
