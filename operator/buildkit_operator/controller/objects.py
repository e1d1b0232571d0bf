"""A builder's objects in the API server: written where they differ, deleted where unwanted, never anybody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.desired.metadata import digest
from buildkit_operator.engine.cache import Cache, owned_by
from buildkit_operator.engine.secrets import Secrets
from buildkit_operator.kube import errors
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.diff import is_within
from buildkit_operator.kube.resources import CERTIFICATE, SECRET, Manifest, Resource


class OwnerIsGone(Exception):  # noqa: N818  no error: it passes
    """A child still belongs to a deleted builder of the same name; garbage collection is about to take it."""


class Objects:
    """Reads what is there from the cache, Secrets by name, and writes."""

    def __init__(self, client: Client, cache: Cache, secrets: Secrets) -> None:
        """Write through `client`."""
        self._client = client
        self._cache = cache
        self._secrets = secrets

    async def apply(self, builder: BuildKitBuilder, wanted: Sequence[Manifest]) -> None:
        """Write the objects that differ: side by side all but the last, the workload, whose pods mount the others.

        Raises OwnerIsGone or TerminalError when one of that name is not ours, TerminalError when one is refused, and
        kube.errors.ApiError.
        """
        results = await asyncio.gather(*(self._apply_one(builder, m) for m in wanted[:-1]), return_exceptions=True)
        for failure in results:
            if isinstance(failure, BaseException):
                raise failure
        for workload in wanted[-1:]:
            await self._apply_one(builder, workload)

    async def _apply_one(self, builder: BuildKitBuilder, manifest: Manifest) -> None:
        """Write one object unless it is as it should be. Raises TerminalError when it is not ours or is refused."""
        client, wanted = self._client, stamped(manifest)
        resource, namespace, name = (
            client.resource_of(manifest),
            builder.metadata.namespace,
            manifest["metadata"]["name"],
        )
        live = await self._known(resource, namespace, name)
        if live is None:
            try:
                return await self._send(client.apply_new, wanted)
            except errors.Conflict:
                # There is one all the same: somebody else's, or one of ours that has lost its label.
                live = await client.get(resource, namespace, name, metadata_only=True)
        if live is not None and not owned_by(live, builder.metadata.uid):
            if resource == SECRET:
                self._secrets.forget(namespace, name)
            raise not_ours(builder, resource, live)
        if live is None or not is_applied(wanted, live):
            await self._send(client.apply, wanted)
        return None

    async def _known(self, resource: Resource, namespace: str, name: str) -> Manifest | None:
        """Return an object as it was last seen; one that lacks our label is not seen."""
        if resource == SECRET:
            return await self._secrets.get(namespace, name)
        if resource == CERTIFICATE:
            return await self._client.get(resource, namespace, name)
        return self._cache.get(resource, namespace, name)

    async def _send(self, verb: Callable[[Manifest], Awaitable[Manifest]], manifest: Manifest) -> None:
        """Have the API server take an object. Raises TerminalError when it refuses it."""
        metadata = manifest["metadata"]
        try:
            applied = await verb(manifest)
        except (errors.Invalid, errors.Forbidden) as error:
            what = f"{manifest['kind']} {metadata['name']}"
            raise TerminalError(Reason.REJECTED, f"The API server refuses {what}: {error}") from error
        if manifest["kind"] == SECRET.kind:
            self._secrets.put(metadata["namespace"], metadata["name"], applied)

    async def prune(self, builder: BuildKitBuilder, wanted: Iterable[Manifest]) -> None:
        """Delete what the builder owns and no longer wants."""
        keep = {(manifest["kind"], manifest["metadata"]["name"]) for manifest in wanted}
        keep |= {
            (SECRET.kind, manifest["spec"]["secretName"]) for manifest in wanted if manifest["kind"] == CERTIFICATE.kind
        }
        for child in await self._owned(builder):
            if (child["kind"], child["metadata"]["name"]) not in keep:
                await self._delete(child)

    async def _owned(self, builder: BuildKitBuilder) -> list[Manifest]:
        namespace, name = builder.metadata.namespace, builder.metadata.name
        seen = self._cache.children((namespace, name))
        for secret in (names.authority_secret(name), names.server_secret(name), names.connection_secret(name)):
            live = await self._secrets.get(namespace, secret)
            if live is not None:
                seen.append(live)
        return [child for child in seen if owned_by(child, builder.metadata.uid)]

    async def _delete(self, child: Manifest) -> None:
        resource, metadata = self._client.resource_of(child), child["metadata"]
        await self._client.delete(resource, metadata["namespace"], metadata["name"], uid=metadata["uid"])
        if resource == SECRET:
            self._secrets.put(metadata["namespace"], metadata["name"], None)


def stamped(manifest: Manifest) -> Manifest:
    """Return the manifest with a digest of itself in an annotation, which tells later that this was what we applied."""
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), names.APPLIED_HASH: digest(manifest)}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def is_applied(wanted: Manifest, live: Manifest) -> bool:
    """Tell whether applying a stamped manifest would change nothing.

    The stamp, an annotation like others, differs when there are fields that we no longer set; the rest of the
    comparison finds what others changed of those that we do.
    """
    return is_within(wanted, live)


def not_ours(builder: BuildKitBuilder, resource: Resource, live: Manifest) -> OwnerIsGone | TerminalError:
    """Tell whose the object is: nothing of anybody else's is ever taken over."""
    metadata = live["metadata"]
    owner = next((ref for ref in metadata.get("ownerReferences") or () if ref.get("controller")), None)
    if owner is not None and (owner["kind"], owner["name"]) == (names.KIND, builder.metadata.name):
        return OwnerIsGone(
            f"{resource.kind} {metadata['name']} belongs to a deleted builder of the same name: "
            "waiting for Kubernetes' garbage collection to remove it."
        )
    whose = f"{owner['kind']} {owner['name']}" if owner is not None else "nobody that this operator knows"
    return TerminalError(
        Reason.NAME_CONFLICT,
        f"{resource.kind} {metadata['name']} exists already and belongs to {whose}, so it was left alone. "
        "Delete or rename it, or give the builder another name.",
    )
