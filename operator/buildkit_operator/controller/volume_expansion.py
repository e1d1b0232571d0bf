"""Volume expansion: PVCs are resized to what their builder asks for, and refusals are remembered for a while."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.desired.claims import Claims, request, to_grow
from buildkit_operator.kube import errors
from buildkit_operator.kube.client import Client


@dataclass(frozen=True)
class _Refusal:
    """What the API server said when a PVC was to be resized."""

    size: str
    message: str
    until: float
    """When it is asked again: an admin may have let the PVC's StorageClass expand volumes."""


class VolumeExpansion:
    """Asks for each size once in a while: a request that is refused over and over would be a write without an end."""

    def __init__(self, client: Client, clock: Callable[[], float], retry_seconds: float) -> None:
        """Write through `client`; `clock` gives seconds and never goes back. A refused size is tried again later."""
        self._client = client
        self._clock = clock
        self._retry_seconds = retry_seconds
        self._refused: dict[str, _Refusal] = {}

    async def reconcile(self, builder: BuildKitBuilder, claims: Claims) -> None:
        """Have each PVC ask for what it lacks; those that are refused stay as they are. Raises kube.errors.ApiError.

        The StatefulSet cannot: its template is immutable, and would not change PVCs that there are already.
        """
        self._forget_old()
        size = builder.spec.cache.size
        for claim in to_grow(builder, claims):
            known = self._refused.get(claim.uid)
            if known is not None and known.size == size:
                continue
            try:
                await self._client.apply(request(builder, claim))
            except (errors.Forbidden, errors.Invalid) as error:
                until = self._clock() + self._retry_seconds
                self._refused[claim.uid] = _Refusal(size, str(error), until)
            except errors.Conflict:
                continue  # it has gone meanwhile, which the watch tells next
            else:
                self._refused.pop(claim.uid, None)

    def refusals(self, builder: BuildKitBuilder) -> Mapping[str, str]:
        """Return what the API server said of PVCs that it would not have resized to this builder's size, by uid."""
        size = builder.spec.cache.size
        return {uid: refusal.message for uid, refusal in self._refused.items() if refusal.size == size}

    def _forget_old(self) -> None:
        now = self._clock()
        self._refused = {uid: refusal for uid, refusal in self._refused.items() if refusal.until > now}
