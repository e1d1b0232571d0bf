"""What kopf is answered: the objects of lists and events are taken out on the way, and kopf gets their versions.

By these it knows from where to watch on after a disconnect. Had it the objects, it would make a task, a queue and a
record of each, which was two thirds of the operator's time. It also decodes with `json.loads`, which ends a watch for
ever on JSON that the API server does store (kube/decoding.py), asks for pages of a fixed number of objects however
large, and keeps events whole until they are handled.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import aiohttp

from buildkit_operator.kube.decoding import MAX_BYTES, decode
from buildkit_operator.kube.pages import PageSize, read_at_most, read_page
from buildkit_operator.kube.resources import Key, Manifest, Resource
from buildkit_operator.kube.unreadable import UnreadableObjects

if TYPE_CHECKING:
    from aiohttp.client_middlewares import ClientHandlerType

CHUNK_BYTES: Final = 256 * 1024
LIST_ANEW: Final = b'{"type":"ERROR","object":{"kind":"Status","code":410}}'
"""The one error in a watch after which kopf lists anew; any other ends it."""

TakeIn: TypeAlias = Callable[[Resource, str | None, Manifest], None]
"""Called with every object: kind, type of its event (ADDED, MODIFIED, DELETED, None for one of a list), and itself."""

IsKnown: TypeAlias = Callable[[Resource, Key, str, int], bool]
"""Tells whether an object, by its kind, key, uid and resourceVersion, is old news."""

_OLD_NEWS: Final = re.compile(
    rb'\{"type":"(?:ADDED|MODIFIED)","object":\{"kind":"\w+","apiVersion":"[\w./]+",'
    rb'"metadata":\{"name":"([^"\\]+)","namespace":"([^"\\]+)","uid":"([^"\\]+)","resourceVersion":"(\d+)"'
)
"""How an event of one of Kubernetes' own kinds begins. Half of all are of our own writes, whose answers were first."""

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

    resources: Mapping[str, Resource]
    """What is asked for, by the URL's path."""
    take_in: TakeIn
    is_known: IsKnown
    unreadable: UnreadableObjects
    listed: MutableMapping[str, int] = field(default_factory=dict)
    """Versions of lists that somebody has taken in already, by the URL's path: each serves as kopf's first one."""
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
        if request.url.path in self.listed:
            return await self._known(request, send)
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
            page = read_page(body, resource, self.unreadable.check, partial(self._taken, resource))
        except ValueError as error:
            raise ListAnew(f"The list of {resource.display_name} cannot be read: {error}") from error
        answer.page = _empty_page(page.version, page.following)
        return answer

    async def _known(self, request: aiohttp.ClientRequest, send: ClientHandlerType) -> aiohttp.ClientResponse:
        """Answer with a list that was taken in already, after one object: of refusals kopf is to hear all the same.

        Where its version is too old by now, the watch says so, and kopf lists anew.
        """
        version = self.listed.pop(request.url.path)
        request.url = request.url.update_query(limit="1")
        answer = cast("KopfAnswer", await send(request))
        if answer.status == 200:
            await read_at_most(answer, MAX_BYTES)
            answer.page = _empty_page(version, "")
        return answer

    def _taken(self, resource: Resource, manifest: Manifest) -> Manifest:
        self.take_in(resource, None, manifest)
        return {}

    def event(self, resource: Resource, line: bytes) -> bytes:
        """Take in what a line of a watch brings, and return it as kopf can read it: a bookmark, or LIST_ANEW."""
        if (begins := _OLD_NEWS.match(line)) and self._is_known(resource, *begins.groups()):
            return _bookmark(int(begins[4]))
        try:
            event = decode(line)
            manifest = event["object"]
            if event["type"] == "ERROR":
                logger.log(
                    logging.DEBUG if event["object"].get("code") == 410 else logging.WARNING,
                    "The watch of %s ended: %s",
                    resource.display_name,
                    manifest.get("message"),
                )
                return LIST_ANEW
            version = int(manifest["metadata"]["resourceVersion"])
            if event["type"] in {"ADDED", "MODIFIED", "DELETED"}:
                self.unreadable.check(resource, manifest)
                self.take_in(resource, event["type"], manifest)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            logger.warning("The watch of %s begins anew: what came is no event (%r).", resource.display_name, error)
            return LIST_ANEW
        return _bookmark(version)

    def _is_known(self, resource: Resource, name: bytes, namespace: bytes, uid: bytes, version: bytes) -> bool:
        return self.is_known(resource, (namespace.decode(), name.decode()), uid.decode(), int(version))

    def too_long(self, resource: Resource, line: bytes) -> None:
        """Tell of an event that has more than MAX_BYTES, by its beginning."""
        name, namespace = found.groups() if (found := _WHO.search(line)) else (b"?", b"?")
        self.unreadable.tell(resource, namespace.decode(errors="replace"), name.decode(errors="replace"))


def _bookmark(version: int) -> bytes:
    return b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"%d"}}}' % version


def _empty_page(version: int, following: str) -> Manifest:
    return {"items": [], "metadata": {"resourceVersion": str(version), "continue": following}}


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
