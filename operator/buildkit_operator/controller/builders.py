"""Builders as they are: from the informer cache, and those that it does not keep whole from the API server."""

from __future__ import annotations

from buildkit_operator.api import names
from buildkit_operator.controller.watched import is_reduced
from buildkit_operator.engine.cache import Cache
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import Manifest


class Builders:
    """Reads builders by name. A large one costs a request each time: memory is everybody's."""

    def __init__(self, cache: Cache, client: Client) -> None:
        """Read from `cache`, or else through `client`."""
        self._cache = cache
        self._client = client

    async def get(self, namespace: str, name: str) -> Manifest | None:
        """Return a builder, None where there is none. Raises kube.errors.ApiError."""
        kept = self._cache.get(names.BUILDER, namespace, name)
        if kept is None or not is_reduced(kept):
            return kept
        return await self._client.get(names.BUILDER, namespace, name)
