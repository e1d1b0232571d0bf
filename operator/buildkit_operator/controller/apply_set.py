"""Apply set of a builder: server-side apply of the objects that differ (drift), prune of those that it owns in vain.

Objects of others are never taken over: what a builder owns has its owner reference. See ownership.py for what has lost
it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.controller import ownership, refusals
from buildkit_operator.controller.child_kinds import (
    BY_KIND,
    BY_RESOURCE,
    CHILD_KINDS,
    Apply,
    ByName,
    ChildKind,
    Watched,
    digested_content,
)
from buildkit_operator.controller.ownership import Found, is_ours
from buildkit_operator.desired.metadata import digest
from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.named_objects import NamedObjects
from buildkit_operator.kube import errors
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.diff import is_within
from buildkit_operator.kube.manifests import without_version
from buildkit_operator.kube.resources import SECRET, Manifest, Resource

logger = logging.getLogger(__name__)

_NO_DRY_RUN: Final = "does not support dry run"
"""What the API server says of a webhook with side effects, which it then does not ask: that tells nothing."""


class _NotOursError(Exception):
    """An object of a wanted name is not the builder's, as far as is known."""


class ApplySet:
    """Reads what is there from the informer cache or by name, as the row of its kind says, and writes."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        named: Mapping[Resource, NamedObjects],
    ) -> None:
        """Write through `client`; `named` has the TTL caches of the kinds that are read by name."""
        self._client = client
        self._cache = cache
        self._named = named

    async def apply(self, builder: BuildKitBuilder, wanted: Sequence[Manifest]) -> None:
        """Write the objects that differ: what is missing or has drifted, then what has changed, and then the workload.

        Changes of several objects are tried as a dry run first: what is refused in one is made in none, as a daemon
        that comes back has to find the configuration that its pod is for.

        Raises PreviousOwnerTerminating or TerminalError when one of that name is not ours, TerminalError when one is
        refused, kube.errors.NotFound when its kind is not served, and kube.errors.ApiError when there is no answer.
        Raises kube.errors.Conflict when some had lost their owner and are the builder's now: it is decided anew.
        """
        try:
            await self._apply(builder, wanted)
        except _NotOursError:
            raise await self._settle(builder, wanted) from None

    async def _apply(self, builder: BuildKitBuilder, wanted: Sequence[Manifest]) -> None:
        differing = await self._differing(builder, wanted)
        changes = [difference for difference in differing if difference.is_change]
        await _all(self._write(builder, d) for d in differing if not (d.is_change or d.kind.apply is Apply.LAST))
        tried = [difference for difference in differing if difference.is_change or difference.kind.apply is Apply.LAST]
        if changes and len(tried) > 1:
            await _all(self._try(difference) for difference in tried)
        await _all(self._write(builder, change) for change in changes if change.kind.apply is not Apply.LAST)
        await _all(self._write(builder, difference) for difference in differing if difference.kind.apply is Apply.LAST)

    async def apply_each(self, builder: BuildKitBuilder, wanted: Sequence[Manifest]) -> None:
        """Write the objects that differ, each whatever becomes of the others. Raises what `apply` does."""
        try:
            differing = await self._differing(builder, wanted)
            await _all(self._write(builder, difference) for difference in differing)
        except _NotOursError:
            raise await self._settle(builder, wanted) from None

    async def prune(
        self, builder: BuildKitBuilder, wanted: Sequence[Manifest], kept: Collection[tuple[str, str]] = ()
    ) -> None:
        """Delete what the operator made for the builder and it wants no more, but what is `kept`, by kind and name.

        Others' objects that name the builder as their owner are theirs. What is read by name goes first, and is looked
        for only where the builder wants some of it or anything else is left: most of mode Sidecar never had any.
        Raises TerminalError when the API server refuses to delete one, after the others are gone that are read alike,
        and kube.errors.ApiError.
        """
        names_of_wanted = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in wanted}
        watched = [child for kind in _PRUNED_WATCHED for child in await self.owned(builder, kind)]
        left = [child for child in watched if _name(child) not in names_of_wanted]
        if left or any(kind.resource.kind == of for kind in _PRUNED_BY_NAME for of, _ in names_of_wanted):
            named = [child for kind in _PRUNED_BY_NAME for child in await self.owned(builder, kind)]
            await _all(self.delete(child) for child in named if _name(child) not in names_of_wanted | set(kept))
        await _all(self.delete(child) for child in left if _name(child) not in kept)

    async def owned(self, builder: BuildKitBuilder, kind: ChildKind) -> list[Manifest]:
        """Return the objects of a kind that the operator made for the builder. Raises kube.errors.ApiError."""
        namespace, name = builder.metadata.namespace, builder.metadata.name
        live = [await self._live(kind.resource, namespace, known) for known in kind.names(name)]
        return [found for found in live if found is not None and is_ours(found, builder)]

    async def delete(self, child: Manifest) -> None:
        """Delete an object as it was read just now, and no other of its name.

        Raises TerminalError when that is refused, and kube.errors.ApiError.
        """
        resource, metadata = self._client.resource_of(child), child["metadata"]
        try:
            await self._client.delete(resource, metadata["namespace"], metadata["name"], uid=metadata["uid"])
        except (errors.Invalid, errors.Forbidden) as error:
            raise refusals.of_deletion(child, error) from error
        if resource in self._named:
            self._named[resource].put(metadata["namespace"], metadata["name"], None)

    def forget_secrets(self, builder: BuildKitBuilder) -> None:
        """Read the builder's Secrets anew the next time: nobody tells when one is deleted."""
        for name in BY_RESOURCE[SECRET].names(builder.metadata.name):
            self._named[SECRET].forget(builder.metadata.namespace, name)

    async def _settle(self, builder: BuildKitBuilder, wanted: Sequence[Manifest]) -> Exception:
        """Adopt what has lost its owner, and return what is to be raised: what is still in the way, all of it at once.

        Other objects that the builder may have had before are adopted too, so that what it wants no more is pruned.
        """
        names_of_wanted = {(self._client.resource_of(m), m["metadata"]["name"]) for m in wanted}
        possible = {
            (kind.resource, name)
            for kind in CHILD_KINDS
            if kind.apply is not Apply.NEVER
            for name in kind.names(builder.metadata.name)
        }
        there = await asyncio.gather(*(self._metadata(builder, *place) for place in possible | names_of_wanted))
        others = [found for found in there if found is not None and not is_ours(found[1], builder)]
        orphans = [found for found in others if ownership.is_adoptable(found, builder)]
        await _all(self._adopt(builder, orphan) for orphan in orphans)
        in_the_way = [
            (resource, live)
            for resource, live in others
            if (resource, live) not in orphans and (resource, live["metadata"]["name"]) in names_of_wanted
        ]
        # What is gone by now too: nobody tells, and what was read of it stands in the way.
        for resource, name in possible | names_of_wanted:
            if resource in self._named:
                self._named[resource].forget(builder.metadata.namespace, name)
        if in_the_way:
            return ownership.ownership_conflict(builder, sorted(in_the_way, key=_order))
        return errors.Conflict("Objects that had no owner are the builder's now, and it is reconciled anew.")

    async def _metadata(self, builder: BuildKitBuilder, resource: Resource, name: str) -> Found | None:
        live = await self._client.get(resource, builder.metadata.namespace, name, metadata_only=True)
        return None if live is None else (resource, live)

    async def _adopt(self, builder: BuildKitBuilder, orphan: Found) -> None:
        """Give an object to the builder. Raises TerminalError when that is refused."""
        resource, live = orphan
        logger.info("Adopting %s %s, which has lost its owner", resource.kind, live["metadata"]["name"])
        await self._send(self._client.merge, ownership.adopted(orphan, builder))

    async def _differing(self, builder: BuildKitBuilder, wanted: Sequence[Manifest]) -> list[_Difference]:
        """Return what is to be written. Raises _NotOursError, before anything is, where an object is another's."""
        # One after the other: they are in memory, but for a Secret now and then, and a task for each takes longer.
        found = [await self._difference(builder, manifest) for manifest in wanted]
        differing = [difference for difference in found if difference is not None]
        for difference in differing:
            if difference.live is not None:
                self._check_ours(builder, difference.live)
        return differing

    async def _difference(self, builder: BuildKitBuilder, manifest: Manifest) -> _Difference | None:
        """Return what is to be written; None where an object is as it should be. An object of others is left to see."""
        wanted, resource = stamped(manifest), self._client.resource_of(manifest)
        live = await self._live(resource, builder.metadata.namespace, manifest["metadata"]["name"])
        if live is not None and is_ours(live, builder) and is_applied(without_version(wanted), live):
            return None
        return _Difference(BY_RESOURCE[resource], wanted, live)

    async def _write(self, builder: BuildKitBuilder, difference: _Difference) -> None:
        """Write one object. Raises _NotOursError when it is not ours, TerminalError when it is refused."""
        client, resource, live = self._client, difference.kind.resource, difference.live
        namespace, name = builder.metadata.namespace, difference.wanted["metadata"]["name"]
        if "resourceVersion" in difference.wanted["metadata"]:
            return await self._apply_as_decided(builder, difference.wanted)
        if live is None:
            try:
                return await self._send(client.apply_new, difference.wanted)
            except errors.Conflict:
                # There is one all the same: somebody else's, or one of ours that has lost its label.
                live = await client.get(resource, namespace, name, metadata_only=True)
        if live is not None:
            self._check_ours(builder, live)
        return await self._send(client.apply, difference.wanted)

    def _check_ours(self, builder: BuildKitBuilder, live: Manifest) -> None:
        if not is_ours(live, builder):
            raise _NotOursError

    async def _apply_as_decided(self, builder: BuildKitBuilder, wanted: Manifest) -> None:
        """Write an object unless it is another one than what was decided by, whose version the manifest has.

        Raises Conflict then: it is to be read and decided again, for what it holds may be nowhere else.
        """
        resource, metadata = self._client.resource_of(wanted), wanted["metadata"]
        try:
            await self._send(self._client.apply, wanted)
        except errors.Conflict:
            if resource in self._named:
                self._named[resource].forget(metadata["namespace"], metadata["name"])
            live = await self._client.get(resource, metadata["namespace"], metadata["name"], metadata_only=True)
            if live is not None:
                self._check_ours(builder, live)
            raise

    async def _live(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """Return an object as it was last seen; of a watched kind, one that lacks our label is not seen."""
        if resource in self._named:
            return await self._named[resource].get(namespace, name)
        return self._cache.get(resource, namespace, name)

    async def _try(self, change: _Difference) -> None:
        """Have the API server say whether it would take a change. Raises TerminalError when it would not."""
        try:
            # Whether it is still what was decided by is asked when it is written.
            await self._client.try_to_apply(without_version(change.wanted))
        except errors.Invalid as error:
            if _NO_DRY_RUN not in str(error):
                raise refusals.of_object(change.wanted, error) from error
        except errors.Forbidden as error:
            raise refusals.of_object(change.wanted, error) from error

    async def _send(self, verb: Callable[[Manifest], Awaitable[Manifest]], manifest: Manifest) -> None:
        """Have the API server take an object. Raises TerminalError when it refuses it."""
        metadata = manifest["metadata"]
        try:
            applied = await verb(manifest)
        except (errors.Invalid, errors.Forbidden) as error:
            raise refusals.of_object(manifest, error) from error
        if (resource := self._client.resource_of(manifest)) in self._named:
            self._named[resource].put(metadata["namespace"], metadata["name"], applied)


@dataclass(frozen=True)
class _Difference:
    """An object that is not as it should be."""

    kind: ChildKind
    wanted: Manifest
    """Stamped."""
    live: Manifest | None

    @property
    def is_change(self) -> bool:
        """Whether it is another object that is wanted now, and not that something happened to the one that was."""
        return self.live is not None and _stamp(self.live) != _stamp(self.wanted)


_PRUNED_WATCHED: Final = tuple(kind for kind in CHILD_KINDS if kind.pruned and isinstance(kind.read, Watched))
_PRUNED_BY_NAME: Final = tuple(kind for kind in CHILD_KINDS if kind.pruned and isinstance(kind.read, ByName))


def _name(child: Manifest) -> tuple[str, str]:
    return child["kind"], child["metadata"]["name"]


def _order(found: Found) -> tuple[str, str]:
    return found[0].kind, found[1]["metadata"]["name"]


async def _all(writes: Iterable[Awaitable[None]]) -> None:
    """Make writes side by side, all of them whatever becomes of one, and then raise the first failure."""
    for failure in await asyncio.gather(*writes, return_exceptions=True):
        if isinstance(failure, BaseException):
            raise failure


def stamped(manifest: Manifest) -> Manifest:
    """Return the manifest with a digest of itself in an annotation, which tells later that this was what we applied."""
    metadata = manifest["metadata"]
    stamp = digest(without_version(manifest) | digested_content(manifest))
    annotations = {**metadata.get("annotations", {}), names.APPLIED_HASH: stamp}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def is_applied(wanted: Manifest, live: Manifest) -> bool:
    """Tell whether there is no drift: whether applying a stamped manifest would change nothing.

    Of a kind that is watched, what the cache would keep of the manifest is compared with what it kept of the object.
    The stamp, an annotation like others, differs when there are fields that we no longer set; the rest of the
    comparison finds what others changed of those that we do.
    """
    read = BY_KIND[wanted["kind"]].read
    return is_within(wanted if isinstance(read, ByName) else read.keep(wanted), live)


def _stamp(manifest: Manifest) -> object:
    return (manifest["metadata"].get("annotations") or {}).get(names.APPLIED_HASH)
