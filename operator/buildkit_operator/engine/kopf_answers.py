"""What kopf is answered: lists and watches by our own decoding, of each object no more than the cache keeps.

kopf decodes with `json.loads`, which ends a watch for ever on JSON that the API server does store (kube/decoding.py),
asks for pages of a fixed number of objects however large, and keeps events whole until they are handled.
"""

from __future__ import annotations

import json
import logging
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import aiohttp

from buildkit_operator.engine.kinds import Kinds
from buildkit_operator.kube.decoding import MAX_BYTES, decode
from buildkit_operator.kube.pages import PageSize, read_at_most, read_page
from buildkit_operator.kube.resources import Manifest, Resource
from buildkit_operator.kube.unreadable import UnreadableObjects

if TYPE_CHECKING:
    from aiohttp.client_middlewares import ClientHandlerType

CHUNK_BYTES: Final = 256 * 1024
LIST_ANEW: Final = b'{"type":"ERROR","object":{"kind":"Status","code":410}}'
"""The one error in a watch after which kopf lists anew; any other ends it."""

_WHO: Final = re.compile(rb'"name":"([^"]{1,253})","namespace":"([^"]{1,63})"')
"""Begins the metadata of an object."""

logger = logging.getLogger(__name__)


class ListAnew(aiohttp.ClientPayloadError):
    """kopf takes a broken payload as the reason to list anew; a 410, in a listing, would end it."""


class KopfAnswer(aiohttp.ClientResponse):
    """An answer whose content was read for kopf."""

    page: Manifest | None = None
    """The list, where it is one."""

    async def json(self, **_: Any) -> Any:
        """Return the list, or else what the answer holds. Raises ValueError."""
        return decode(await self.read()) if self.page is None else self.page


@dataclass(frozen=True, slots=True)
class KopfAnswers:
    """Reads answers for kopf, as a middleware of its session."""

    kinds: Kinds
    resources: Mapping[str, Resource]
    """What is asked for, by the URL's path."""
    unreadable: UnreadableObjects
    _sizes: defaultdict[Resource, PageSize] = field(default_factory=lambda: defaultdict(PageSize))

    async def __call__(self, request: aiohttp.ClientRequest, send: ClientHandlerType) -> aiohttp.ClientResponse:
        """Send a request of kopf's. Raises ListAnew and what `send` raises."""
        resource = self.resources.get(request.url.path)
        if resource is None:
            return await send(request)
        if "watch" not in request.url.query:
            return await self._list(request, send, resource)
        answer = await send(request)
        if answer.status == 200:
            answer.content = cast("aiohttp.StreamReader", _Events(answer.content, resource, self))
        return answer

    async def _list(
        self, request: aiohttp.ClientRequest, send: ClientHandlerType, resource: Resource
    ) -> aiohttp.ClientResponse:
        """Read one page, of fewer objects than kopf asks for where they are large."""
        size = self._sizes[resource]
        while True:
            request.url = request.url.update_query(limit=str(size.limit))
            answer = cast("KopfAnswer", await send(request))
            if answer.status != 200:
                return answer
            body = await read_at_most(answer, size.most_bytes)
            if body is not None:
                size.was(len(body))
                break
            if size.limit == 1:
                raise ListAnew(f"An object among {resource.display_name} has more than {MAX_BYTES >> 20} MiB.")
            size.was_too_large()
        try:
            page = read_page(body, resource, self.unreadable.check, partial(self.kinds.pass_on, resource))
        except ValueError as error:
            raise ListAnew(f"The list of {resource.display_name} cannot be read: {error}") from error
        answer.page = {
            "items": page.items,
            "metadata": {"resourceVersion": str(page.version), "continue": page.following},
        }
        return answer

    def event(self, resource: Resource, line: bytes) -> bytes:
        """Return the line of a watch as kopf can read it: an event with what is kept of its object, or LIST_ANEW."""
        try:
            event = decode(line)
            if event["type"] in {"ADDED", "MODIFIED", "DELETED"}:
                self.unreadable.check(resource, event["object"])
                event["object"] = self.kinds.pass_on(resource, event["object"])
            elif event["type"] == "ERROR":
                logger.log(
                    logging.DEBUG if event["object"].get("code") == 410 else logging.WARNING,
                    "The watch of %s ended: %s",
                    resource.display_name,
                    event["object"].get("message"),
                )
                return LIST_ANEW
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            logger.warning("The watch of %s begins anew: what came is no event (%r).", resource.display_name, error)
            return LIST_ANEW
        return json.dumps(event, separators=(",", ":")).encode()

    def too_long(self, resource: Resource, line: bytes) -> None:
        """Tell of an event that has more than MAX_BYTES, by its beginning."""
        name, namespace = found.groups() if (found := _WHO.search(line)) else (b"?", b"?")
        self.unreadable.tell(resource, namespace.decode(errors="replace"), name.decode(errors="replace"))


class _Events:
    """The content of a watch's answer, whose lines are shown to KopfAnswers before kopf sees them."""

    def __init__(self, content: aiohttp.StreamReader, resource: Resource, answers: KopfAnswers) -> None:
        self._content = content
        self._resource = resource
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        """Leave the rest, which aiohttp asks for, as it is."""
        return getattr(self._content, name)

    async def iter_chunked(self, _size: int) -> AsyncIterator[bytes]:
        """Yield whole lines."""
        async for line in self._lines():
            yield self._answers.event(self._resource, line) + b"\n"

    async def _lines(self) -> AsyncIterator[bytes]:
        """Yield the lines that are not too long, without the end of the last one if the connection ended within it."""
        begun = bytearray()
        is_told = False
        async for chunk in self._content.iter_chunked(CHUNK_BYTES):
            *ended, rest = chunk.split(b"\n")
            for part in ended:
                begun += part
                if begun.strip() and not is_told:
                    yield bytes(begun)
                begun, is_told = bytearray(), False
            begun += rest
            if len(begun) > MAX_BYTES:
                if not is_told:
                    self._answers.too_long(self._resource, bytes(begun[:CHUNK_BYTES]))
                begun, is_told = bytearray(), True
