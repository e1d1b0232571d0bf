"""Admission dry-run probe, with backoff: would a runner pod get its sidecar now? A success is cached until the resync.

A pod is created as a dry run: that passes every admission policy, webhook, quota and Pod Security, whichever engine
injects, and makes nothing. So the operator needs no right on admission objects, and its status is no guess.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.api.reasons import INSTALL_ENGINE, Reason
from buildkit_operator.desired.metadata import digest
from buildkit_operator.desired.probe_pod import control_pod, is_injected, probe_name, probe_pod
from buildkit_operator.engine.jitter import jittered
from buildkit_operator.kube import errors
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.diff import is_within
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status import ProbeResult
from buildkit_operator.status.diagnosis.daemons import Finding, refused_by_pod_security
from buildkit_operator.status.diagnosis.refused_pods import (
    names_image,
    not_allowed_to_try,
    refused_by_others,
    refused_by_policy,
    refused_injection,
)

BACKOFF_SECONDS: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds between the first probes: the engine hears of a new injection a moment later than it is written."""

RETRY_SECONDS: Final = 10.0
"""Seconds between later ones."""


class Before(Enum):
    """What the status says of an injection that this process has not probed yet, from the process before."""

    UNTOLD = auto()
    """Nothing: it may be so new that the engine has not heard of it."""
    SERVED = auto()
    """It is served, without a remark; that is believed until the resync, so that a restart asks nothing."""
    TOLD = auto()
    """Something else, such as why it is not. The engine has known the injection for long: its first answer counts."""


@dataclass(slots=True)
class _Record:
    injection: str
    """Digest of what was probed."""
    due: float
    failures: int = 0
    remarks: int = 0
    """How many answers in turn were that it is served, and that others refuse such pods."""
    result: ProbeResult | None = None
    """The last one; None while the engine may not have heard of the injection."""


class InjectionProbe:
    """Probes each builder's injection as seldom as the answer allows."""

    def __init__(
        self,
        dry_run: Callable[[BuildKitBuilder, Manifest], Awaitable[ProbeResult]],
        clock: Callable[[], float],
        resync_seconds: float,
    ) -> None:
        """Probe by `dry_run`; `clock` gives seconds and never goes back. A success is cached until the resync.

        One with a remark is asked for again before, ever more seldom: a quota or a right may be otherwise by then.
        """
        self._dry_run = dry_run
        self._clock = clock
        self._resync_seconds = resync_seconds
        self._records: dict[tuple[str, str], _Record] = {}

    async def result(self, builder: BuildKitBuilder, injection: Manifest, before: Before) -> ProbeResult | None:
        """Return how a runner pod fares with this injection; None when that is to be seen soon, see requeue_after.

        `before` counts for a builder that this process has never probed. Raises what `dry_run` raises.
        """
        wanted, now = digest([builder.metadata.uid, injection]), self._clock()
        record = self._records.get(_key(builder))
        if record is None and before is Before.SERVED:
            record = _Record(wanted, now + jittered(self._resync_seconds), result=ProbeResult(served=True))
        elif record is None and before is Before.TOLD:
            record = _Record(wanted, now, failures=len(BACKOFF_SECONDS))
        if record is None or record.injection != wanted:
            record = _Record(wanted, now)
        self._records[_key(builder)] = record
        if now >= record.due:
            await self._probe(builder, injection, record)
        return record.result

    def requeue_after(self, builder: BuildKitBuilder) -> float | None:
        """Return the seconds until the next probe that should not wait for an event, or None."""
        record = self._records.get(_key(builder))
        return max(0.0, record.due - self._clock()) if record and (record.failures or record.remarks) else None

    def forget(self, namespace: str, name: str) -> None:
        """Drop what is remembered of a builder that is gone."""
        self._records.pop((namespace, name), None)

    async def _probe(self, builder: BuildKitBuilder, injection: Manifest, record: _Record) -> None:
        result = await self._dry_run(builder, injection)
        is_settled = record.failures >= len(BACKOFF_SECONDS)
        if result.served and (result.is_current or is_settled):
            record.failures, record.result = 0, result
            record.remarks = record.remarks + 1 if result.finding else 0
            again = RETRY_SECONDS * 2.0 ** (record.remarks - 1) if record.remarks else self._resync_seconds
            record.due = self._clock() + jittered(min(again, self._resync_seconds))
            return
        record.due = self._clock() + (RETRY_SECONDS if is_settled else BACKOFF_SECONDS[record.failures])
        record.failures += 1
        if is_settled or (result.finding is not None and result.finding.user_must_act):
            record.result = result


async def dry_run(client: Client, builder: BuildKitBuilder, injection: Manifest) -> ProbeResult:
    """Create a runner pod of a builder as a dry run. Raises kube.errors.ApiError when that tells nothing of it.

    Where others refuse it, a pod without the builder is tried as well: whether that is refused in the same words tells
    whose fault it is.
    """
    try:
        pod = await client.try_to_create(probe_pod(builder, injection))
    except errors.ApiError as error:
        return refused(builder, injection, error) or compared(
            builder, error, await _refusal(client, control_pod(builder, injection))
        )
    return admitted(builder, injection, pod)


async def _refusal(client: Client, pod: Manifest) -> errors.ApiError | None:
    """Return how a pod is refused, None if it is not. Raises kube.errors.ApiError for what passes by itself."""
    try:
        await client.try_to_create(pod)
    except errors.ApiError as error:
        if error.transient:
            raise
        return error
    return None


def admitted(builder: BuildKitBuilder, injection: Manifest, pod: Manifest) -> ProbeResult:
    """Return what an admitted pod means: whether it got what is rendered for it."""
    if is_injected(pod, builder):
        return ProbeResult(served=True, is_current=is_within(injection["initContainers"], _ours(pod, injection)))
    if builder.role is not Role.SIDECAR:
        return ProbeResult(served=True)  # jobs reach shared daemons by the connection Secret, too
    return _not_served(f"A pod with the label of this builder gets no daemon: nothing injects it. {INSTALL_ENGINE}")


def _ours(pod: Manifest, injection: Manifest) -> list[Manifest]:
    wanted = {container["name"] for container in injection["initContainers"]} | {*names.SIDECARS}
    return [container for container in pod["spec"].get("initContainers") or () if container["name"] in wanted]


def refused(builder: BuildKitBuilder, injection: Manifest, error: errors.ApiError) -> ProbeResult | None:
    """Return what a refusal means; None where that depends on how a pod without the builder fares.

    Raises the error when it tells nothing of the builder.
    """
    said = _said(builder, error)
    is_sidecar = builder.role is Role.SIDECAR
    if is_sidecar and (denied := refused_by_pod_security(builder, said)):
        return ProbeResult(served=False, finding=denied)
    if isinstance(error, errors.Forbidden) and error.missing_right is not None:
        return ProbeResult(served=True, finding=not_allowed_to_try(error.missing_right))
    if any(sign in said for sign in names.ENGINE_SIGNS):
        refusal = f"A pod with the label of this builder is refused: {said}"
        return _not_served(refusal) if is_sidecar else ProbeResult(served=True, is_current=False)
    if error.transient or isinstance(error, errors.NotFound):
        raise error
    own = refused_injection(builder, injection, error, said)
    return ProbeResult(served=False, finding=own) if own else None


def compared(builder: BuildKitBuilder, error: errors.ApiError, control: errors.ApiError | None) -> ProbeResult:
    """Return what a refusal by others means, where a pod that asks for no builder fares like this."""
    said = _said(builder, error)
    is_refused_too = control is not None and _said(builder, control) == said and not names_image(said)
    if _is_passing(said) or is_refused_too:
        return ProbeResult(served=True, finding=refused_by_others(said))
    return ProbeResult(served=False, finding=refused_by_policy(builder, said))


def _said(builder: BuildKitBuilder, error: errors.ApiError) -> str:
    """Return the server's words without the end of a name that it makes up: told each time anew it would be news."""
    return re.sub(rf"\b({re.escape(probe_name(builder))})[a-z0-9]+", r"\1…", str(error))


def _is_passing(said: str) -> bool:
    """Tell whether a pod is refused for how many others there are, which may be otherwise for the next."""
    return "exceeded quota: " in said or " usage per Pod is " in said


def _not_served(message: str) -> ProbeResult:
    return ProbeResult(served=False, finding=Finding(Reason.INJECTION_NOT_SERVED, message))


def _key(builder: BuildKitBuilder) -> tuple[str, str]:
    return builder.metadata.namespace, builder.metadata.name
