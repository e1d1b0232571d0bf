"""Client of the Kubernetes API over plain dicts: each verb is one request, each failure one of `kube.errors`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import aiohttp
from yarl import URL

from buildkit_operator.kube import errors
from buildkit_operator.kube.auth import Connection
from buildkit_operator.kube.clock import ServerClock
from buildkit_operator.kube.decoding import MAX_BYTES, decode
from buildkit_operator.kube.encoding import encode
from buildkit_operator.kube.manifests import version_of
from buildkit_operator.kube.pages import PageSize, read_at_most, read_page
from buildkit_operator.kube.resources import KNOWN, Manifest, Resource

if TYPE_CHECKING:
    from aiohttp.client_middlewares import ClientMiddlewareType

REQUEST_TIMEOUT: Final = aiohttp.ClientTimeout(total=30, sock_connect=10)
_JSON: Final = {"Accept": "application/json"}
_METADATA: Final = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"}
_METADATA_LIST: Final = {"Accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"}
# JSON is YAML, and unlike yaml.dump costs nothing.
_APPLY: Final = {"Accept": "application/json", "Content-Type": "application/apply-patch+yaml"}
_MERGE: Final = {"Accept": "application/json", "Content-Type": "application/merge-patch+json"}
_VERSION: Final = Resource("", "", "version", "Info")
"""No resource: it stands for the request in messages."""
_SEND: Final = {"Accept": "application/json", "Content-Type": "application/json"}


class Client:
    """A client of one API server.

    Every method raises `errors.ApiError` or one of its kinds, and nothing else, when a request does not succeed.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        field_manager: str,
        resources: Iterable[Resource] = (),
        timeout: aiohttp.ClientTimeout = REQUEST_TIMEOUT,
    ) -> None:
        """Speak for `field_manager`; `resources` are kinds to know besides those of kube.resources."""
        self._connection = connection
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None
        self._resources = {(known.api_version, known.kind): known for known in (*KNOWN, *resources)}
        self._apply_query = {"fieldManager": field_manager, "force": "true", "fieldValidation": "Strict"}
        self._write_query = {"fieldManager": field_manager, "fieldValidation": "Strict"}

    @property
    def clock(self) -> ServerClock:
        """The API server's clock, by its answers to everybody on this connection."""
        return self._connection.clock

    def resource_of(self, manifest: Manifest) -> Resource:
        """Tell what kind a manifest is of. Raises KeyError for kinds that are not in the table."""
        return self._resources[manifest["apiVersion"], manifest["kind"]]

    async def get(
        self, resource: Resource, namespace: str | None, name: str, *, metadata_only: bool = False
    ) -> Manifest | None:
        """Read one object; None where there is none. A kind without namespaces is asked for in none."""
        headers = _METADATA if metadata_only else _JSON
        try:
            return await self._request("GET", resource, resource.path(namespace, name), headers=headers)
        except errors.NotFound:
            return None

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        metadata_only: bool = False,
    ) -> Sequence[Manifest]:
        """Read all objects of a kind, of one namespace or of all that the selectors choose."""
        return [
            manifest
            async for page, _version in self.pages(
                resource,
                namespace,
                label_selector=label_selector,
                field_selector=field_selector,
                metadata_only=metadata_only,
            )
            for manifest in page
        ]

    async def pages(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
        field_selector: str | None = None,
        metadata_only: bool = False,
        keep: Callable[[Manifest], Manifest] = lambda manifest: manifest,
    ) -> AsyncIterator[tuple[Sequence[Manifest], int]]:
        """Read a kind page by page, each with the resourceVersion of the whole list.

        Of each object there is what `keep` returns: while a page is handled, the next one is not here yet.
        """
        query: dict[str, str] = {}
        if label_selector is not None:
            query["labelSelector"] = label_selector
        if field_selector is not None:
            query["fieldSelector"] = field_selector
        headers = _METADATA_LIST if metadata_only else _JSON
        size = PageSize()
        while True:
            query["limit"] = str(size.limit)
            path = resource.path(namespace)
            try:
                answer = await self._send("GET", resource, path, query=query, headers=headers, most=size.most_bytes)
            except errors.TooLarge:
                if size.limit == 1:
                    raise
                size.was_too_large()
                continue
            size.was(len(answer))
            try:
                page = read_page(answer, resource, self._connection.unreadable.check, keep)
            except ValueError as error:
                raise errors.Unavailable(f"{_said('GET', path)}: {error}") from error
            del answer
            yield page.items, page.version
            if not page.following:
                return
            query["continue"] = page.following
            del page

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply, with force: what it names becomes ours, what it no longer names is removed (KEP-555).

        An unknown field is refused with `errors.Invalid`. Raises Conflict where the manifest has a uid or a
        resourceVersion, and the object another one.
        """
        return await self._apply(manifest, None)

    async def try_to_apply(self, manifest: Manifest) -> None:
        """Have an apply checked by validation, admission and quota, and raise what it would; nothing is written."""
        resource, path = self._address(manifest)
        query = {**self._apply_query, "dryRun": "All"}
        await self._request("PATCH", resource, path, query=query, headers=_APPLY, body=manifest)

    async def apply_new(self, manifest: Manifest) -> Manifest:
        """Server-side apply that only creates. Raises Conflict where an object of that name exists.

        Unlike after `create`, a later `apply` can remove every field that this one sets.
        """
        return await self._apply({**manifest, "metadata": {**manifest["metadata"], **version_of(None)}}, None)

    async def merge(self, manifest: Manifest) -> Manifest:
        """Change what the manifest has of an object that exists, lists as a whole (JSON merge patch, RFC 7386).

        Raises Conflict where it has a uid or a resourceVersion, and the object another one.
        """
        resource, path = self._address(manifest)
        return await self._request("PATCH", resource, path, query=self._write_query, headers=_MERGE, body=manifest)

    async def apply_status(self, manifest: Manifest) -> Manifest:
        """Server-side apply of the status alone. Never creates the object: NotFound where it is gone."""
        return await self._apply(manifest, "status")

    async def create(self, manifest: Manifest) -> Manifest:
        """Create an object. Raises Conflict where one of its name exists."""
        resource = self.resource_of(manifest)
        path = resource.path(manifest["metadata"]["namespace"])
        return await self._request("POST", resource, path, query=self._write_query, headers=_SEND, body=manifest)

    async def try_to_create(self, manifest: Manifest) -> Manifest:
        """Return an object as it would be created, with every default and admission policy applied; nothing is."""
        resource = self.resource_of(manifest)
        path, query = resource.path(manifest["metadata"]["namespace"]), {**self._write_query, "dryRun": "All"}
        return await self._request("POST", resource, path, query=query, headers=_SEND, body=manifest)

    async def serves(self, resource: Resource) -> bool:
        """Tell whether the server knows a kind."""
        try:
            answer = await self._request("GET", resource, f"/apis/{resource.api_version}", headers=_JSON)
        except errors.NotFound:
            return False
        return any(known["name"] == resource.plural for known in answer.get("resources") or ())

    async def server_minor(self) -> int:
        """Return the server's version of Kubernetes 1: 37 for v1.37.2."""
        answer = await self._request("GET", _VERSION, "/version", headers=_JSON)
        return int("".join(filter(str.isdigit, answer["minor"])))

    async def replace(self, manifest: Manifest) -> Manifest:
        """Replace an object. Raises Conflict where its resourceVersion is not the manifest's any more."""
        resource, path = self._address(manifest)
        return await self._request("PUT", resource, path, query=self._write_query, headers=_SEND, body=manifest)

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> None:
        """Delete an object, what it owns in the background. Content where it is gone already.

        Raises Conflict where the object is another one than `uid`, or has changed since `resource_version`.
        """
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        body = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": "Background",
            "preconditions": {key: value for key, value in preconditions.items() if value is not None},
        }
        try:
            await self._request("DELETE", resource, resource.path(namespace, name), headers=_SEND, body=body)
        except errors.NotFound:
            return

    async def close(self) -> None:
        """Close the session; the connection stays its owner's."""
        if self._session is not None:
            await self._session.close()

    def _timeout_of(self, method: str) -> aiohttp.ClientTimeout:  # noqa: ARG002  for clients whose writes have another
        """Return how long a request may take; its total is also the longest that the server is to work on a write."""
        return self._timeout

    def _middlewares(self) -> Sequence[ClientMiddlewareType]:
        """Return what sees each request before it is sent."""
        return ()

    async def _apply(self, manifest: Manifest, subresource: str | None) -> Manifest:
        resource, path = self._address(manifest, subresource)
        return await self._request("PATCH", resource, path, query=self._apply_query, headers=_APPLY, body=manifest)

    def _address(self, manifest: Manifest, subresource: str | None = None) -> tuple[Resource, str]:
        resource, metadata = self.resource_of(manifest), manifest["metadata"]
        return resource, resource.path(metadata.get("namespace"), metadata["name"], subresource)

    async def _request(
        self,
        method: str,
        resource: Resource,
        path: str,
        *,
        headers: Mapping[str, str],
        query: Mapping[str, str] | None = None,
        body: Manifest | None = None,
    ) -> Manifest:
        """Send a request and return the object that is answered."""
        answer = await self._send(method, resource, path, headers=headers, query=query, body=body)
        try:
            content = decode(answer)
        except ValueError as error:
            raise errors.Unavailable(f"{_said(method, path)}: {error}") from error
        if not isinstance(content, dict):
            raise errors.Unavailable(f"{_said(method, path)}: the answer is no object")
        self._connection.unreadable.check(resource, content)
        return content

    async def _send(  # noqa: PLR0913  a request has all of these
        self,
        method: str,
        resource: Resource,
        path: str,
        *,
        headers: Mapping[str, str],
        query: Mapping[str, str] | None = None,
        body: Manifest | None = None,
        most: int = MAX_BYTES,
    ) -> bytes:
        """Send a request and return the answer of at most so many bytes."""
        timeout = self._timeout_of(method)
        if method != "GET":
            # Nobody waits for it longer, so the server is not to do it later either: it may have it in a queue.
            query = {**(query or {}), "timeout": f"{timeout.total or 0:.3f}s"}
        if self._session is None:
            self._session = self._connection.session(around=self._middlewares())
        what = _said(method, path)
        data = None if body is None else encode(body)
        try:
            async with self._session.request(
                method,
                URL(self._connection.server + path, encoded=True).with_query(query),
                headers=headers,
                data=data,
                timeout=timeout,
            ) as response:
                answer = await read_at_most(response, most)
                if response.status >= 400:
                    raise errors.from_answer(what, resource, response.status, response.headers, answer or b"")
                if answer is None:
                    raise errors.TooLarge(f"{what}: the answer has more than {most >> 20} MiB")
                return answer
        except TimeoutError as error:
            raise errors.Unavailable(f"{what}: no answer within {timeout.total:.3g} seconds") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise errors.Unavailable(f"{what}: {str(error) or type(error).__name__}") from error


def _said(method: str, path: str) -> str:
    """Return a request as messages name it."""
    return f"{method} {path.removeprefix('/apis').removeprefix('/api')}"
