"""Object references of a spec: whether the Secrets and the PVC exist that it names and its author makes."""

from __future__ import annotations

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.desired.container import REGISTRY_AUTHORITY_KEY, registry_authority_secrets
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import PERSISTENT_VOLUME_CLAIM, SECRET


async def check(client: Client, builder: BuildKitBuilder) -> None:
    """Raise TerminalError when something is missing: the kubelet would wait for it and tell only in an event."""
    for name in registry_authority_secrets(builder):
        keys = await _keys(client, builder.metadata.namespace, name)
        if keys is not None and REGISTRY_AUTHORITY_KEY in keys:
            continue
        missing = f"is missing in namespace {builder.metadata.namespace}"
        lack = missing if keys is None else f"has no key {REGISTRY_AUTHORITY_KEY}"
        raise TerminalError(
            Reason.SECRET_NOT_FOUND,
            f"Secret {name}, which spec.daemon.registries names as caSecretName, {lack}. "
            f"Create it with the registry's CA certificates, PEM, under the key {REGISTRY_AUTHORITY_KEY}.",
        )
    if builder.injection.local_cache is not None:
        await _check_claim(client, builder, builder.injection.local_cache.claim_name)


async def _keys(client: Client, namespace: str, name: str) -> frozenset[str] | None:
    """Return the keys that a user's Secret has now, or None if there is no such Secret. Its values are not kept."""
    secret = await client.get(SECRET, namespace, name)
    return None if secret is None else frozenset(secret.get("data") or {})


async def _check_claim(client: Client, builder: BuildKitBuilder, name: str) -> None:
    namespace = builder.metadata.namespace
    if await client.get(PERSISTENT_VOLUME_CLAIM, namespace, name, metadata_only=True) is None:
        raise TerminalError(
            Reason.CLAIM_NOT_FOUND,
            f"PersistentVolumeClaim {name}, which spec.injection.localCache names, is missing in namespace "
            f"{namespace}, and no pod with it could start. Create it, ReadWriteMany if jobs run on several nodes.",
        )
