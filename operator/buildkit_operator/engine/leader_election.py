"""Leader election by a Lease: of several replicas only the leader writes, and only as long as it surely leads."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Protocol

from buildkit_operator.engine.jitter import jittered
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.errors import ApiError, Conflict, NotFound
from buildkit_operator.kube.resources import LEASE, Manifest

LEASE_SECONDS: Final = 15
"""How long others wait after the holder's last sign of life."""
VALID_SECONDS: Final = 10.0
"""How long the holder itself relies on it: less, so that its last request has ended before the next holder's first."""
RENEW_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 1.0
"""Between two attempts to get the Lease, or to renew it after a failed one."""

logger = logging.getLogger(__name__)


class NotLeader(Exception):  # noqa: N818  a state of affairs, no error
    """This replica is not the leader, and may not write; another one may."""


class LeaderElection(Protocol):
    """Whether this replica is the leader, which alone may write."""

    def is_leader(self) -> bool:
        """Tell whether it leads at this moment."""

    async def wait_until_leader(self) -> None:
        """Wait until it leads."""

    async def run(self) -> None:
        """Acquire and renew the leadership, for ever."""

    async def release(self) -> None:
        """Let another replica lead at once. Never raises."""


class NoLeaderElection:
    """Leader election switched off: the only replica always leads."""

    def is_leader(self) -> bool:
        """Return True."""
        return True

    async def wait_until_leader(self) -> None:
        """Return at once."""

    async def run(self) -> None:
        """Do nothing, for ever."""
        await asyncio.Event().wait()

    async def release(self) -> None:
        """Do nothing."""


class LeaseLeaderElection:
    """Leader election by a `coordination.k8s.io` Lease, compatible with client-go's leader election.

    Clocks of other machines are never compared with ours: a holder counts as dead when its record has not changed
    for the lease's duration by our own monotonic clock.
    """

    def __init__(
        self, client: Client, namespace: str, name: str, identity: str, changed: Callable[[bool], None]
    ) -> None:
        """Compete for the Lease as `identity`; `changed` is told whenever this replica starts or stops leading."""
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._changed = changed
        self._valid_until = float("-inf")
        self._won = asyncio.Event()
        self._lease: Manifest | None = None
        self._lease_seen_at = float("-inf")
        self._waiting_for = ""

    def is_leader(self) -> bool:
        """Tell whether the Lease is ours for certain, also when renewals have been failing."""
        return time.monotonic() < self._valid_until

    async def wait_until_leader(self) -> None:
        """Wait until the Lease is ours."""
        while not self.is_leader():
            self._won.clear()
            await self._won.wait()

    async def run(self) -> None:
        """Compete for the Lease and renew it, through any failure of the API server."""
        led = False
        while True:
            try:
                held = await self._try_to_hold()
            except ApiError as error:
                held = False
                logger.warning("The Lease could not be read or renewed: %s", error)
            if self.is_leader() != led:
                led = not led
                logger.info("This replica is the leader." if led else "This replica is not the leader any more.")
                self._changed(led)
            await asyncio.sleep(jittered(RENEW_SECONDS if held else RETRY_SECONDS))

    async def release(self) -> None:
        """Clear the holder, so that the next replica need not wait for the Lease to run out."""
        if not self.is_leader():
            return
        self._valid_until = float("-inf")
        try:
            # A renewal that was cut off may have been written, and its answer lost.
            await self._observe()
            if self._holder() == self._identity:
                await self._client.replace(self._record("", held_before=True))
        except ApiError as error:
            logger.warning("The Lease was not released and runs out by itself: %s", error)

    async def _try_to_hold(self) -> bool:
        asked_at = time.monotonic()
        if not self.is_leader():
            await self._observe()
        held_before = self._holder() == self._identity
        if not held_before and self._holder() and asked_at < self._lease_seen_at + self._duration():
            self._log_the_leader()
            return False
        record = self._record(self._identity, held_before=held_before)
        try:
            write = self._client.create if self._lease is None else self._client.replace
            self._lease = await write(record)
        except (Conflict, NotFound):  # another replica was faster, or somebody edited or deleted it
            await self._observe()
            return False
        self._valid_until = asked_at + VALID_SECONDS
        self._won.set()
        return True

    def _log_the_leader(self) -> None:
        if self._holder() != self._waiting_for:
            self._waiting_for = self._holder()
            logger.info("Standing by: %s is the leader.", self._waiting_for)

    async def _observe(self) -> None:
        lease = await self._client.get(LEASE, self._namespace, self._name)
        if lease != self._lease:
            self._lease, self._lease_seen_at = lease, time.monotonic()

    def _holder(self) -> str:
        return ((self._lease or {}).get("spec") or {}).get("holderIdentity") or ""

    def _duration(self) -> float:
        return float(((self._lease or {}).get("spec") or {}).get("leaseDurationSeconds") or LEASE_SECONDS)

    def _record(self, holder: str, *, held_before: bool) -> Manifest:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = (self._lease or {}).get("spec") or {}
        metadata = {"name": self._name, "namespace": self._namespace}
        if self._lease is not None:
            metadata["resourceVersion"] = self._lease["metadata"]["resourceVersion"]
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": metadata,
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": LEASE_SECONDS if holder else 1,
                "acquireTime": before["acquireTime"] if held_before else now,
                "renewTime": now,
                "leaseTransitions": before.get("leaseTransitions", 0) + (not held_before and bool(before)),
            },
        }
