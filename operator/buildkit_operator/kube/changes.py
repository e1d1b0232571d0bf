"""Watch of one object by its name, which tells that it has changed: right for a few objects whose names are known."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

import aiohttp
from yarl import URL

from buildkit_operator.kube import errors
from buildkit_operator.kube.auth import Connection
from buildkit_operator.kube.decoding import MAX_BYTES
from buildkit_operator.kube.pages import read_at_most
from buildkit_operator.kube.resources import Resource

WATCH_SECONDS: Final = 290
"""After which the server is asked to end a watch; a connection that died in silence is noticed a little later."""

# Nobody needs more: RBAC can allow watching one Secret by name, and its values stay where they are.
_METADATA: Final = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}


async def changes(connection: Connection, resource: Resource, namespace: str | None, name: str) -> AsyncIterator[None]:
    """Yield when the watch begins, and then whenever the object may have changed; end when the server ends the watch.

    What changed is not said: whoever listens reads the object, if it is there. Raises errors.ApiError.
    """
    path = resource.path(namespace)
    query = {"watch": "true", "fieldSelector": f"metadata.name={name}", "timeoutSeconds": str(WATCH_SECONDS)}
    timeout = aiohttp.ClientTimeout(sock_connect=10, sock_read=WATCH_SECONDS + 10)
    try:
        async with (
            connection.session() as session,
            session.get(
                URL(connection.server + path, encoded=True).with_query(query), headers=_METADATA, timeout=timeout
            ) as response,
        ):
            if response.status >= 400:
                body = await read_at_most(response, MAX_BYTES) or b""
                raise errors.from_answer(f"WATCH {path}", resource, response.status, response.headers, body)
            yield
            async for _ in response.content.iter_any():
                yield
    except (aiohttp.ClientError, OSError) as error:
        raise errors.Unavailable(f"WATCH {path}: {str(error) or type(error).__name__}") from error
