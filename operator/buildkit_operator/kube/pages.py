"""Pages of a list: how many objects to ask for at once, so that their bytes are bounded, and what is kept of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp

from buildkit_operator.kube.decoding import MAX_BYTES, decode
from buildkit_operator.kube.resources import Manifest, Resource

LARGEST: Final = 100
"""Objects a list request asks for at most."""
FIRST: Final = 25
"""Objects that the first request of a list asks for: nobody knows yet how large they are."""
PAGE_BYTES: Final = 2 * 2**20
"""Bytes of a page of several objects. Decoded, the worst JSON takes some 25 times as much memory."""


@dataclass(slots=True)
class PageSize:
    """How many objects the next page of a list has, by the bytes of those before it."""

    limit: int = FIRST

    @property
    def most_bytes(self) -> int:
        """Bytes of an answer that are worth reading: more are several objects, which can be had one by one."""
        return PAGE_BYTES if self.limit > 1 else MAX_BYTES

    def was(self, length: int) -> None:
        """Go by the bytes of a page that was read."""
        if 2 * length > PAGE_BYTES:
            self.limit = max(1, self.limit // 2)
        elif 4 * length < PAGE_BYTES:
            self.limit = min(LARGEST, 2 * self.limit)

    def was_too_large(self) -> None:
        """Ask for less, after a page that was not read to its end."""
        self.limit = max(1, self.limit // 4)


@dataclass(frozen=True, slots=True)
class Page:
    """Some objects of a list."""

    items: Sequence[Manifest]
    version: int
    """The resourceVersion of the whole list."""
    following: str
    """Asks for the next page; empty after the last one."""


def read_page(
    answer: bytes,
    resource: Resource,
    check: Callable[[Resource, Manifest], None],
    keep: Callable[[Manifest], Manifest],
) -> Page:
    """Decode a page; each object is shown to `check`, and what `keep` makes of it is returned.

    Raises ValueError for what is no list.
    """
    decoded = decode(answer)
    try:
        metadata, items = decoded["metadata"], decoded.get("items") or []
        for item in items:  # the items of a list do not repeat what the list is of
            item["apiVersion"], item["kind"] = resource.api_version, resource.kind
            check(resource, item)
        return Page([keep(item) for item in items], int(metadata["resourceVersion"]), metadata.get("continue") or "")
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"this is no list of {resource.display_name}") from error


async def read_at_most(response: aiohttp.ClientResponse, most: int) -> bytes | None:
    """Read an answer, or return None where it has more bytes than that: then its connection is closed."""
    answer = bytearray()
    async for chunk in response.content.iter_any():
        answer += chunk
        if len(answer) > most:
            response.close()
            return None
    return bytes(answer)
