"""The ways in which a builder serves its runner pods, each bringing about and observing what it needs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.controller import references
from buildkit_operator.controller.cert_manager import CertManager
from buildkit_operator.controller.namespaces import Surroundings
from buildkit_operator.controller.objects import Objects
from buildkit_operator.desired.metadata import Manifest
from buildkit_operator.desired.platform import Platform
from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.secrets import Secrets
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import POD
from buildkit_operator.pki.keypairs import Lifetimes
from buildkit_operator.status import Observed, Status
from buildkit_operator.status.diagnosis import runner_pods

Clock: TypeAlias = Callable[[], datetime]
"""Gives the time that certificates and conditions go by."""


@dataclass(frozen=True)
class Parts:
    """What every way works with."""

    client: Client
    cache: Cache
    secrets: Secrets
    objects: Objects
    surroundings: Surroundings
    cert_manager: CertManager
    platform: Platform
    lifetimes: Lifetimes
    clock: Clock

    async def apply(
        self, builder: BuildKitBuilder, wanted: Sequence[Manifest], ordered: Sequence[Manifest] = ()
    ) -> None:
        """Write what is wanted, and delete what is neither wanted nor ordered from others.

        Raises TerminalError, OwnerIsGone and kube.errors.ApiError.
        """
        await references.check(builder, self.client, self.secrets)
        await self.objects.apply(builder, wanted)
        await self.objects.prune(builder, [*wanted, *ordered])

    def runners(self, builder: BuildKitBuilder) -> list[Manifest]:
        """Return the runner pods that were given the builder."""
        return [pod for pod in self._pods(builder) if runner_pods.is_runner(pod)]

    def daemons(self, builder: BuildKitBuilder) -> list[Manifest]:
        """Return the pods of the builder's own daemons."""
        return [pod for pod in self._pods(builder) if not runner_pods.is_runner(pod)]

    def _pods(self, builder: BuildKitBuilder) -> list[Manifest]:
        return self.cache.children((builder.metadata.namespace, builder.metadata.name), POD)


class Serving(ABC):
    """One of the ways."""

    def __init__(self, parts: Parts) -> None:
        """Work with these parts."""
        self._parts = parts

    @abstractmethod
    async def bring_about(self, builder: BuildKitBuilder, previous: Status) -> Observed:
        """Make the builder's objects what they should be, and tell what is seen of them then.

        Raises TerminalError, which leaves them as they are, OwnerIsGone and kube.errors.ApiError.
        """

    async def look(self, builder: BuildKitBuilder) -> Observed:  # noqa: ARG002  for those who have objects to look at
        """See how the builder's objects are doing and change nothing. Raises kube.errors.ApiError."""
        return Observed()

    async def rest(self, builder: BuildKitBuilder, previous: Status) -> Observed:  # noqa: ARG002  for those who try
        """See how a suspended builder is doing and change nothing. Raises kube.errors.ApiError."""
        return await self.look(builder)
