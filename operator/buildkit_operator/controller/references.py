"""Object references of a spec: whether the Secrets, ConfigMaps and PVCs exist that it names and its author makes."""

from __future__ import annotations

from base64 import b64decode
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.desired import mounts
from buildkit_operator.desired.mounts import Reference
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.manifests import controller_of, is_of
from buildkit_operator.kube.resources import CONFIG_MAP, PERSISTENT_VOLUME_CLAIM, SECRET, Manifest, Resource

_REASONS: Final[dict[Resource, Reason]] = {
    SECRET: Reason.SECRET_NOT_FOUND,
    CONFIG_MAP: Reason.CONFIG_MAP_NOT_FOUND,
    PERSISTENT_VOLUME_CLAIM: Reason.CLAIM_NOT_FOUND,
}


async def check(client: Client, builder: BuildKitBuilder) -> None:
    """Raise TerminalError when something is missing: the kubelet would wait for it and tell only in an event."""
    for reference in mounts.references(builder.spec.daemon):
        await _check(client, builder.metadata.namespace, reference)
    if builder.injection.local_cache is not None:
        await _check_claim(client, builder, builder.injection.local_cache.claim_name)


async def _check(client: Client, namespace: str, reference: Reference) -> None:
    found = await client.get(reference.resource, namespace, reference.name, metadata_only=not reference.keys)
    if found is not None and reference.resource is SECRET and _is_a_builders(found):
        raise TerminalError(
            Reason.INVALID_SPEC,
            f"Secret {reference.name}, which {reference.named_by}, holds keys of a builder, which builds could read. "
            "Name one of your own.",
        )
    lack = _lack(found, reference, namespace)
    if lack is None:
        return
    made_with = f" with {reference.content}" if reference.content else ""
    raise TerminalError(
        _REASONS[reference.resource],
        f"{reference.resource.kind} {reference.name}, which {reference.named_by}, {lack}. Create it{made_with}.",
    )


def _lack(found: Manifest | None, reference: Reference, namespace: str) -> str | None:
    """Return what an object lacks that certificates are to be in, or None. Its values are not kept.

    Text that is no certificate BuildKit passes over in silence, and trusts nobody by it.
    """
    if found is None:
        return f"is missing in namespace {namespace}"
    held = {key: text.encode() for key, text in (found.get("data") or {}).items()}
    if reference.resource is SECRET:
        held = {key: b64decode(text) for key, text in held.items()}
    held |= {key: b64decode(text) for key, text in (found.get("binaryData") or {}).items()}
    for key in reference.keys:
        if key not in held:
            return f"has no key {key}"
    if reference.keys and _CERTIFICATE not in held[reference.keys[0]]:
        return f"has no certificate in PEM under the key {reference.keys[0]}"
    return None


_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
"""How one begins in PEM; those that begin otherwise Go does not read (crypto/x509, AppendCertsFromPEM)."""


def _is_a_builders(secret: Manifest) -> bool:
    """Tell whether a Secret is one that a builder or cert-manager made for one; the label alone is enough to say so."""
    owner = controller_of(secret)
    is_labelled = names.OWNER_LABEL in (secret["metadata"].get("labels") or {})
    return is_labelled or (owner is not None and is_of(owner, names.BUILDER))


async def _check_claim(client: Client, builder: BuildKitBuilder, name: str) -> None:
    namespace = builder.metadata.namespace
    if await client.get(PERSISTENT_VOLUME_CLAIM, namespace, name, metadata_only=True) is None:
        raise TerminalError(
            Reason.CLAIM_NOT_FOUND,
            f"PersistentVolumeClaim {name}, which spec.injection.localCache names, is missing in namespace "
            f"{namespace}, and no pod with it could start. Create it, ReadWriteMany if jobs run on several nodes.",
        )
