"""Admission dry-run probe, with backoff: would a runner pod get its sidecar now? A success is cached until the resync.

A pod is created as a dry run: that passes every admission policy, webhook, quota and Pod Security, whichever engine
injects, and makes nothing. So the operator needs no right on admission objects, and its status is no guess.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import INSTALL_ENGINE, Reason
from buildkit_operator.desired.metadata import digest
from buildkit_operator.desired.probe_pod import is_injected, probe_pod
from buildkit_operator.engine.jitter import jittered
from buildkit_operator.kube import errors
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status import ProbeResult
from buildkit_operator.status.diagnosis.daemons import Finding, refused_by_pod_security

BACKOFF_SECONDS: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between the first probes: the engine hears of a new injection a moment later than it is written."""

RETRY_SECONDS: Final = 10.0
"""Seconds between later ones."""


@dataclass(slots=True)
class _Record:
    injection: str
    """Digest of what was probed."""
    due: float
    failures: int = 0
    result: ProbeResult | None = None
    """The last one; None while the engine may not have heard of the injection."""


class InjectionProbe:
    """Probes each builder's injection as seldom as the answer allows."""

    def __init__(
        self,
        dry_run: Callable[[BuildKitBuilder], Awaitable[ProbeResult]],
        clock: Callable[[], float],
        resync_seconds: float,
    ) -> None:
        """Probe by `dry_run`; `clock` gives seconds and never goes back. A success is cached until the resync."""
        self._dry_run = dry_run
        self._clock = clock
        self._resync_seconds = resync_seconds
        self._records: dict[tuple[str, str], _Record] = {}

    async def result(self, builder: BuildKitBuilder, injection: Manifest, *, served_before: bool) -> ProbeResult | None:
        """Return how a runner pod fares with this injection; None when that is to be seen soon, see requeue_after.

        With `served_before` a builder that was never probed by this process counts as served until the next resync,
        so that a restart asks nothing. Raises what `dry_run` raises.
        """
        wanted, now = digest([builder.metadata.uid, injection]), self._clock()
        record = self._records.get(_key(builder))
        if record is None and served_before:
            record = _Record(wanted, now + jittered(self._resync_seconds), result=ProbeResult(served=True))
        if record is None or record.injection != wanted:
            record = _Record(wanted, now)
        self._records[_key(builder)] = record
        if now >= record.due:
            await self._probe(builder, record)
        return record.result

    def requeue_after(self, builder: BuildKitBuilder) -> float | None:
        """Return the seconds until the next probe that should not wait for an event, or None."""
        record = self._records.get(_key(builder))
        return None if record is None or not record.failures else max(0.0, record.due - self._clock())

    def forget(self, namespace: str, name: str) -> None:
        """Drop what is remembered of a builder that is gone."""
        self._records.pop((namespace, name), None)

    async def _probe(self, builder: BuildKitBuilder, record: _Record) -> None:
        result = await self._dry_run(builder)
        if result.served:
            record.failures, record.result = 0, result
            record.due = self._clock() + jittered(self._resync_seconds)
            return
        is_settled = record.failures >= len(BACKOFF_SECONDS)
        record.due = self._clock() + (RETRY_SECONDS if is_settled else BACKOFF_SECONDS[record.failures])
        record.failures += 1
        if is_settled or (result.finding is not None and result.finding.user_must_act):
            record.result = result


async def dry_run(client: Client, default_image: str, builder: BuildKitBuilder) -> ProbeResult:
    """Create a runner pod of a builder as a dry run. Raises kube.errors.Unavailable when there is no answer."""
    try:
        pod = await client.try_to_create(probe_pod(builder, default_image))
    except (errors.Forbidden, errors.Invalid, errors.Unavailable) as error:
        return refused(builder, error)
    return admitted(builder, pod)


def admitted(builder: BuildKitBuilder, pod: Manifest) -> ProbeResult:
    """Return what an admitted pod means: whether it got the sidecar."""
    if is_injected(pod, builder):
        return ProbeResult(served=True)
    return _not_served(f"A pod with the label of this builder gets no daemon: nothing injects it. {INSTALL_ENGINE}")


def refused(builder: BuildKitBuilder, error: errors.ApiError) -> ProbeResult:
    """Return what a refusal means. Raises the error when it tells nothing of the builder."""
    said = str(error)
    if refused := refused_by_pod_security(builder, said):
        return ProbeResult(served=False, finding=refused)
    if "cannot create resource" in said:
        # No right to try; that says nothing of those who make runner pods.
        return ProbeResult(served=True)
    if any(sign in said for sign in names.ENGINE_SIGNS):
        return _not_served(f"A pod with the label of this builder is refused: {said}")
    if isinstance(error, errors.Unavailable):
        raise error
    return ProbeResult(served=True, finding=Finding(Reason.PODS_REFUSED, f"A probe pod was refused, though: {said}"))


def _not_served(message: str) -> ProbeResult:
    return ProbeResult(served=False, finding=Finding(Reason.INJECTION_NOT_SERVED, message))


def _key(builder: BuildKitBuilder) -> tuple[str, str]:
    return builder.metadata.namespace, builder.metadata.name
