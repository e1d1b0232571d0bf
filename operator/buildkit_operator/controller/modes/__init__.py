"""Mode reconcilers: one sub-reconciler for each way in which a builder serves its runner pods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.controller.apply_set import ApplySet
from buildkit_operator.controller.autoscaler import Autoscaler
from buildkit_operator.controller.builder_pods import BuilderPods
from buildkit_operator.controller.cert_manager_requests import CertManagerRequests
from buildkit_operator.controller.injection_probe import Before, InjectionProbe
from buildkit_operator.controller.namespaces import NamespaceCache
from buildkit_operator.desired import issued_by_cert_manager
from buildkit_operator.desired.platform import Platform
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status import Observed, ProbeResult, Status, condition_of, nothing_observed
from buildkit_operator.status.diagnosis.refused_pods import UNTRIED

CheckReferences: TypeAlias = Callable[[BuildKitBuilder], Awaitable[None]]
"""Raises TerminalError when a builder's spec names an object that is missing, and kube.errors.ApiError."""


@dataclass(frozen=True)
class Parts:
    """What every mode reconciles a builder with."""

    apply_set: ApplySet
    requests: CertManagerRequests
    """Of them, those of an earlier mode or setting are withdrawn."""
    pods: BuilderPods
    probe: InjectionProbe
    check_references: CheckReferences
    platform: Platform
    namespaces: NamespaceCache
    autoscaler: Autoscaler

    async def picks_pods(self, builder: BuildKitBuilder) -> bool | None:
        """Tell whether the namespace lets a builder pick pods, None where it picks none or that may not be known.

        Raises kube.errors.ApiError.
        """
        if builder.injection.pod_selector is None:
            return None
        return await self.namespaces.lets_builders_pick(builder.metadata.namespace)

    async def finish(
        self, builder: BuildKitBuilder, wanted: Sequence[Manifest], kept_secrets: Sequence[str] = ()
    ) -> TerminalError | None:
        """Delete what the builder needs no more; return what keeps the operator from it, if that is for good.

        It is called once all of `wanted` is written and runner pods are given what belongs to it, as engines read it in
        the status: a change that is refused half-way leaves the mode before whole. Pods that were made before then keep
        the ConfigMap that they mount, without which one could not start. Raises kube.errors.ApiError.
        """
        kept = [("Secret", name) for name in kept_secrets]
        kept += [("ConfigMap", name) for name in self.pods.mounted_config_maps(builder)]
        try:
            if not issued_by_cert_manager(builder):
                await self.requests.withdraw(builder)
            await self.apply_set.prune(builder, wanted, kept)
        except TerminalError as error:
            return error
        return None

    async def probed(self, builder: BuildKitBuilder, rendered: Manifest, previous: Status) -> ProbeResult | None:
        """Return how a runner pod fares with what is in the status, where engines read it. None until that is seen.

        Raises kube.errors.ApiError.
        """
        return await self.probe.result(builder, rendered, told_before(previous))


class ModeReconciler(ABC):
    """Brings the objects of a builder to their desired state, and observes them."""

    def __init__(self, parts: Parts) -> None:
        """Reconcile with these parts."""
        self._parts = parts

    @abstractmethod
    async def reconcile(self, builder: BuildKitBuilder, previous: Status) -> Observed:
        """Make the builder's objects what they should be, and return what is observed of them then.

        `previous` is the builder's status as it was last written. Raises TerminalError, which leaves the objects as
        they are, PreviousOwnerTerminating and kube.errors.ApiError.
        """

    async def observe(self, builder: BuildKitBuilder) -> Observed:
        """Return what is observed of the builder's objects, and change nothing. Raises kube.errors.ApiError."""
        return nothing_observed(builder.role)

    async def observe_suspended(self, builder: BuildKitBuilder, previous: Status) -> Observed:  # noqa: ARG002  Sidecar's
        """Return what is observed of a suspended builder, of which nothing is changed but certificates that are due.

        Raises TerminalError, PreviousOwnerTerminating and kube.errors.ApiError.
        """
        return await self.observe(builder)


def told_before(previous: Status) -> Before:
    """Return what a builder's status says of how runner pods fare with what is rendered for them."""
    ready = condition_of(previous)
    if ready.get("reason", Reason.PROGRESSING) == Reason.PROGRESSING:
        return Before.UNTOLD
    is_remarked = any(remark in ready["message"] for remark in UNTRIED)
    return Before.SERVED if ready["status"] == "True" and not is_remarked else Before.TOLD


def is_told(previous: Status, endpoint: str) -> bool:
    """Tell whether a builder's status says already that its daemons are reached here, and by which Secret.

    What was told is kept true before anything else: a Secret that is due or missing waits for nothing.
    """
    return previous.get("endpoint") == endpoint and "connectionSecretName" in previous


@dataclass(frozen=True)
class Modes:
    """The reconcilers of all modes."""

    sidecar: ModeReconciler
    shared: ModeReconciler
    consumer: ModeReconciler

    def of(self, builder: BuildKitBuilder) -> ModeReconciler:
        """Return the one for a builder."""
        match builder.role:
            case Role.SIDECAR:
                return self.sidecar
            case Role.DAEMONS:
                return self.shared
            case Role.CONSUMER:
                return self.consumer
