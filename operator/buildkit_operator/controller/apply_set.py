"""Apply set of a builder: server-side apply of the objects that differ (drift), prune of those that it owns in vain.

Objects of others are never taken over: what a builder owns has its owner reference.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.controller.child_kinds import BY_RESOURCE, CHILD_KINDS, Apply, ByName, ChildKind
from buildkit_operator.desired.metadata import digest
from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.named_objects import NamedObjects
from buildkit_operator.kube import errors
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.diff import is_within
from buildkit_operator.kube.manifests import controller_of, owned_by
from buildkit_operator.kube.resources import Manifest, Resource


class PreviousOwnerTerminating(Exception):  # noqa: N818  no error: it passes
    """A child still belongs to a deleted builder of the same name, and is about to be garbage-collected."""


class ApplySet:
    """Reads what is there from the informer cache or by name, as the row of its kind says, and writes."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        named: Mapping[Resource, NamedObjects],
        check_references: Callable[[BuildKitBuilder], Awaitable[None]],
    ) -> None:
        """Write through `client`; `named` has the TTL caches of the kinds that are read by name."""
        self._client = client
        self._cache = cache
        self._named = named
        self._check_references = check_references

    async def apply_and_prune(
        self, builder: BuildKitBuilder, wanted: Sequence[Manifest], kept_secrets: Collection[str] = ()
    ) -> None:
        """Write what is wanted, and delete what is not wanted any more, except Secrets that others write for it.

        Raises TerminalError, also when the spec refers to an object that is missing, PreviousOwnerTerminating and
        kube.errors.ApiError.
        """
        await self._check_references(builder)
        await self.apply(builder, wanted)
        keep = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in wanted}
        keep |= {("Secret", name) for name in kept_secrets}
        for kind in CHILD_KINDS:
            if not kind.pruned:
                continue
            for child in await self.owned(builder, kind):
                if (child["kind"], child["metadata"]["name"]) not in keep:
                    await self.delete(child)

    async def apply(self, builder: BuildKitBuilder, wanted: Sequence[Manifest]) -> None:
        """Write the objects that differ: side by side, and then the workload.

        Raises PreviousOwnerTerminating or TerminalError when one of that name is not ours, TerminalError when one is
        refused, and kube.errors.ApiError.
        """
        for turn in (Apply.TOGETHER, Apply.LAST):
            together = [manifest for manifest in wanted if self._kind_of(manifest).apply is turn]
            results = await asyncio.gather(*(self._apply_one(builder, m) for m in together), return_exceptions=True)
            for failure in results:
                if isinstance(failure, BaseException):
                    raise failure

    async def owned(self, builder: BuildKitBuilder, kind: ChildKind) -> list[Manifest]:
        """Return the objects of a kind that the builder owns. Raises kube.errors.ApiError."""
        namespace, name = builder.metadata.namespace, builder.metadata.name
        if isinstance(kind.read, ByName):
            live = [await self._live(kind.resource, namespace, known) for known in kind.read.names(name)]
        else:
            live = [*self._cache.children((namespace, name), kind.resource)]
        return [child for child in live if child is not None and owned_by(child, builder.metadata.uid)]

    async def delete(self, child: Manifest) -> None:
        """Delete an object as it was read just now, and no other of its name. Raises kube.errors.ApiError."""
        resource, metadata = self._client.resource_of(child), child["metadata"]
        await self._client.delete(resource, metadata["namespace"], metadata["name"], uid=metadata["uid"])
        if resource in self._named:
            self._named[resource].put(metadata["namespace"], metadata["name"], None)

    def _kind_of(self, manifest: Manifest) -> ChildKind:
        return BY_RESOURCE[self._client.resource_of(manifest)]

    async def _apply_one(self, builder: BuildKitBuilder, manifest: Manifest) -> None:
        """Write one object unless it is as it should be. Raises TerminalError when it is not ours or is refused."""
        client, wanted = self._client, stamped(manifest)
        resource, namespace, name = (
            client.resource_of(manifest),
            builder.metadata.namespace,
            manifest["metadata"]["name"],
        )
        live = await self._live(resource, namespace, name)
        if live is None:
            try:
                return await self._send(client.apply_new, wanted)
            except errors.Conflict:
                # There is one all the same: somebody else's, or one of ours that has lost its label.
                live = await client.get(resource, namespace, name, metadata_only=True)
        if live is not None and not owned_by(live, builder.metadata.uid):
            if resource in self._named:
                self._named[resource].forget(namespace, name)
            raise ownership_conflict(builder, resource, live)
        if live is None or not is_applied(wanted, live):
            await self._send(client.apply, wanted)
        return None

    async def _live(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """Return an object as it was last seen; of a watched kind, one that lacks our label is not seen."""
        if resource in self._named:
            return await self._named[resource].get(namespace, name)
        return self._cache.get(resource, namespace, name)

    async def _send(self, verb: Callable[[Manifest], Awaitable[Manifest]], manifest: Manifest) -> None:
        """Have the API server take an object. Raises TerminalError when it refuses it."""
        metadata = manifest["metadata"]
        try:
            applied = await verb(manifest)
        except (errors.Invalid, errors.Forbidden) as error:
            what = f"{manifest['kind']} {metadata['name']}"
            raise TerminalError(Reason.REJECTED, f"The API server refuses {what}: {error}") from error
        if (resource := self._client.resource_of(manifest)) in self._named:
            self._named[resource].put(metadata["namespace"], metadata["name"], applied)


def stamped(manifest: Manifest) -> Manifest:
    """Return the manifest with a digest of itself in an annotation, which tells later that this was what we applied."""
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), names.APPLIED_HASH: digest(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def is_applied(wanted: Manifest, live: Manifest) -> bool:
    """Tell whether there is no drift: whether applying a stamped manifest would change nothing.

    The stamp, an annotation like others, differs when there are fields that we no longer set; the rest of the
    comparison finds what others changed of those that we do.
    """
    return is_within(wanted, live)


def ownership_conflict(
    builder: BuildKitBuilder, resource: Resource, live: Manifest
) -> PreviousOwnerTerminating | TerminalError:
    """Return what is in the way of applying an object that another owns: nothing of anybody else's is taken over."""
    metadata = live["metadata"]
    owner = controller_of(live)
    if owner is not None and (owner["kind"], owner["name"]) == (names.KIND, builder.metadata.name):
        return PreviousOwnerTerminating(
            f"{resource.kind} {metadata['name']} belongs to a deleted builder of the same name: "
            "waiting for Kubernetes' garbage collection to remove it."
        )
    whose = f"{owner['kind']} {owner['name']}" if owner is not None else "nobody that this operator knows"
    return TerminalError(
        Reason.NAME_CONFLICT,
        f"{resource.kind} {metadata['name']} exists already and belongs to {whose}, so it was left alone. "
        "Delete or rename it, or give the builder another name.",
    )
