"""Mode reconcilers: one sub-reconciler for each way in which a builder serves its runner pods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.kube.resources import Key
from buildkit_operator.status import Observed, Status, nothing_observed


class ModeReconciler(ABC):
    """Brings the objects of a builder to their desired state, and observes them."""

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
        """Return what is observed of a suspended builder, and change nothing. Raises kube.errors.ApiError."""
        return await self.observe(builder)

    def requeue_after(self, builder: BuildKitBuilder) -> float | None:  # noqa: ARG002  for modes with a timer
        """Return the seconds until the mode has something due that no event tells of, or None."""
        return None

    def forget(self, key: Key) -> None:  # noqa: B027  for modes that remember something
        """Drop what is remembered of a builder that is gone."""


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

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a builder that is gone."""
        for mode in (self.sidecar, self.shared, self.consumer):
            mode.forget(key)
