"""Whether there is what a builder's spec refers to, of objects that are its author's."""

from __future__ import annotations

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.desired.container import REGISTRY_AUTHORITY_KEY, registry_authority_secrets
from buildkit_operator.engine.secrets import Secrets
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import PERSISTENT_VOLUME_CLAIM


async def check(builder: BuildKitBuilder, client: Client, secrets: Secrets) -> None:
    """Raise TerminalError when something is missing: the kubelet would wait for it and tell only in an event."""
    for name in registry_authority_secrets(builder):
        keys = await secrets.keys(builder.metadata.namespace, name)
        if keys is not None and REGISTRY_AUTHORITY_KEY in keys:
            continue
        missing = f"is missing in namespace {builder.metadata.namespace}"
        lack = missing if keys is None else f"has no key {REGISTRY_AUTHORITY_KEY}"
        raise TerminalError(
            Reason.SECRET_NOT_FOUND,
            f"Secret {name}, which spec.daemon.registries names as caSecretName, {lack}. "
            f"Create it with the registry's certificate authorities, PEM, under the key {REGISTRY_AUTHORITY_KEY}.",
        )
    if builder.injection.local_cache is not None:
        await _check_claim(builder, client, builder.injection.local_cache.claim_name)


async def _check_claim(builder: BuildKitBuilder, client: Client, name: str) -> None:
    namespace = builder.metadata.namespace
    if await client.get(PERSISTENT_VOLUME_CLAIM, namespace, name, metadata_only=True) is None:
        raise TerminalError(
            Reason.CLAIM_NOT_FOUND,
            f"PersistentVolumeClaim {name}, which spec.injection.localCache names, is missing in namespace "
            f"{namespace}, and no pod with it could start. Create it, ReadWriteMany if jobs run on several nodes.",
        )
