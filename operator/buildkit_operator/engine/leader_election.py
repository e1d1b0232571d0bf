"""Leader election by a Lease: of several replicas only the leader writes, and only as long as it surely leads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

import aiohttp

from buildkit_operator.engine.jitter import jittered
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.clock import steady_seconds
from buildkit_operator.kube.errors import ApiError, Conflict, Forbidden, Invalid, NotFound
from buildkit_operator.kube.resources import LEASE, Manifest

LEASE_SECONDS: Final = 15
"""How long others wait after the holder's last sign of life."""
VALID_SECONDS: Final = 10.0
"""How long the holder itself relies on it: less, so that its last request has ended before the next holder's first.

A write has the rest of this for a timeout (engine.leader_client).
"""
REQUEST_TIMEOUT: Final = aiohttp.ClientTimeout(total=4, sock_connect=4)
"""Of a request for the Lease: there is time for another one before the leadership is lost."""
LONGEST_SECONDS: Final = 60.0
"""The longest that another holder is waited for, whatever duration the Lease names: no release of ours has a longer."""
MOST_TRANSITIONS: Final = 2**31 - 1
"""A Lease counts no further."""
RENEW_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 1.0
"""Between two attempts to get the Lease, or to renew it after a failed one."""

logger = logging.getLogger(__name__)


class NotLeader(Exception):  # noqa: N818  a state of affairs, no error
    """This replica is not the leader, and may not write; another one may."""


class LeaderElection(Protocol):
    """Whether this replica is the leader, which alone may write."""

    @property
    def problem(self) -> str | None:
        """What keeps it from ever leading, in a sentence; None where nothing does."""

    def is_leader(self) -> bool:
        """Tell whether it leads at this moment."""

    def seconds_left(self) -> float:
        """Return for how long it surely leads, 0 or less where it does not."""

    async def wait_until_leader(self) -> None:
        """Wait until it leads."""

    async def run(self) -> None:
        """Acquire and renew the leadership, for ever."""

    async def release(self) -> None:
        """Let another replica lead at once. Never raises."""


class NoLeaderElection:
    """Leader election switched off: the only replica always leads."""

    @property
    def problem(self) -> str | None:
        """None."""
        return None

    def is_leader(self) -> bool:
        """Return True."""
        return True

    def seconds_left(self) -> float:
        """Return infinity."""
        return float("inf")

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
    for the lease's duration by a clock of ours that nobody sets and that runs on while the machine is suspended.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        changed: Callable[[bool], None],
        annotations: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Compete for the Lease as `identity`; `changed` is told whenever this replica starts or stops leading.

        The Lease has `annotations`, for others to read.
        """
        self._client = client
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._changed = changed
        self._annotations = annotations
        self._valid_until = float("-inf")
        self._won = asyncio.Event()
        self._lease: Manifest | None = None
        self._lease_seen_at = float("-inf")
        self._waiting_for = ""
        self._written: Manifest | None = None
        self._tried: Manifest = {}
        self._complaint = ""
        self.problem: str | None = None

    def is_leader(self) -> bool:
        """Tell whether the Lease is ours for certain, also when renewals have been failing."""
        return self.seconds_left() > 0

    def seconds_left(self) -> float:
        """Return for how long the Lease is ours for certain, 0 or less where it is not."""
        return self._valid_until - steady_seconds()

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
                self._complain(error)
            else:
                self._complain(None)
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

    def _complain(self, error: ApiError | None) -> None:
        """Log what is wrong with the Lease once, and not with each attempt."""
        complaint = "" if error is None else f"The Lease could not be read or renewed: {error}"
        if complaint and complaint != self._complaint:
            logger.warning("%s", complaint)
        self._complaint = complaint
        # An API server that is away comes back; a right that is missing is somebody's to give.
        self.problem = complaint if isinstance(error, Forbidden | Invalid) else None

    async def _try_to_hold(self) -> bool:
        asked_at = steady_seconds()
        if not self.is_leader():
            await self._observe()
        held_before = self._holder() == self._identity and not self._is_of_a_namesake()
        if not held_before and self._holder() and asked_at < self._lease_seen_at + duration(self._spec()):
            self._log_the_leader()
            return False
        record = self._record(self._identity, held_before=held_before)
        self._tried = record["spec"]
        try:
            write = self._client.create if self._lease is None else self._client.replace
            self._lease = await write(record)
        except (Conflict, NotFound):  # another replica was faster, or somebody edited or deleted it
            await self._observe()
            return False
        self._written = self._tried
        self._valid_until = asked_at + VALID_SECONDS
        self._waiting_for = ""
        self._won.set()
        return True

    def _is_of_a_namesake(self) -> bool:
        """Tell whether another process holds the Lease by our name: this one has written, and not what stands there.

        What it wrote last may stand there though its answer was lost. One that has written nothing yet takes such a
        Lease for its own, from the life before a restart of its container.
        """
        if self._written is None:
            return False
        times = ("acquireTime", "renewTime")
        stands = [self._spec().get(time) for time in times]
        return all(stands != [ours[time] for time in times] for ours in (self._written, self._tried))

    def _log_the_leader(self) -> None:
        if self._holder() == self._waiting_for:
            return
        self._waiting_for = self._holder()
        if self._waiting_for == self._identity:
            logger.error(
                "Standing by: the Lease names us, %s, but this process did not write it. If another process has the "
                "same identity, give each its own (BUILDKIT_OPERATOR_IDENTITY).",
                self._identity,
            )
        else:
            logger.info("Standing by: %s is the leader.", self._waiting_for)

    async def _observe(self) -> None:
        lease = await self._client.get(LEASE, self._namespace, self._name)
        if lease != self._lease:
            self._lease, self._lease_seen_at = lease, steady_seconds()

    # Somebody may have edited the Lease, and left out or changed whatever its schema allows.

    def _spec(self) -> Manifest:
        return (self._lease or {}).get("spec") or {}

    def _holder(self) -> str:
        return self._spec().get("holderIdentity") or ""

    def _record(self, holder: str, *, held_before: bool) -> Manifest:
        now = self._client.clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        before = self._spec()
        metadata: Manifest = {"name": self._name, "namespace": self._namespace}
        if self._annotations:
            metadata["annotations"] = dict(self._annotations)
        if self._lease is not None:
            metadata["resourceVersion"] = self._lease["metadata"]["resourceVersion"]
        transitions = (before.get("leaseTransitions") or 0) + (not held_before and bool(before))
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": metadata,
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": LEASE_SECONDS if holder else 1,
                "acquireTime": (held_before and before.get("acquireTime")) or now,
                "renewTime": now,
                "leaseTransitions": transitions if 0 <= transitions <= MOST_TRANSITIONS else 0,
            },
        }


def duration(spec: Manifest) -> float:
    """Return for how many seconds the holder of a Lease is waited for after its last sign of life."""
    seconds = spec.get("leaseDurationSeconds") or LEASE_SECONDS
    return float(min(seconds, LONGEST_SECONDS) if seconds > 0 else LEASE_SECONDS)
