"""Keeps a builder's certificates: reads those it has from their Secrets, has new ones made where they will not do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.control.cache import owned_by
from buildkit_operator.control.issuer import issue_authority, issue_leaf
from buildkit_operator.control.secrets import Secrets
from buildkit_operator.desired import network
from buildkit_operator.desired.certificates import (
    Certificates,
    KeyPair,
    Lifetimes,
    Usage,
    authority_will_do,
    key_pair,
    leaf_will_do,
)


@dataclass(frozen=True)
class Found:
    """What a builder's Secrets hold now; each may be missing or useless."""

    authority: KeyPair | None
    server: KeyPair | None
    client: KeyPair | None

    def complete(self) -> Certificates | None:
        """Return all of them, or None when one is missing."""
        if self.authority is None or self.server is None or self.client is None:
            return None
        return Certificates(self.authority, self.server, self.client)


async def find(builder: BuildKitBuilder, secrets: Secrets) -> Found:
    """Read what the builder's own Secrets hold. Raises kube.errors.ApiError."""

    async def pair(name: str) -> KeyPair | None:
        secret = await secrets.get(builder.metadata.namespace, name)
        # A Secret of that name that is somebody else's is none of ours: applying it will say so.
        return key_pair(secret) if secret is not None and owned_by(secret, builder.metadata.uid) else None

    name = builder.metadata.name
    of = (names.authority_secret(name), names.server_secret(name), names.connection_secret(name))
    return Found(*await asyncio.gather(*map(pair, of)))


def completed(
    builder: BuildKitBuilder, found: Found, cluster_domain: str, lifetimes: Lifetimes, now: datetime
) -> Certificates:
    """Return certificates that will do, those found where they do and new ones elsewhere."""
    name = f"{builder.metadata.name}.{builder.metadata.namespace}"
    authority = found.authority
    if authority is None or not authority_will_do(authority, now):
        authority = issue_authority(f"BuildKit builder {name}", lifetimes.authority, now)

    def leaf(pair: KeyPair | None, role: str, usage: Usage, dns_names: list[str]) -> KeyPair:
        if pair is not None and leaf_will_do(pair, authority, usage, dns_names, now):
            return pair
        return issue_leaf(authority, f"{role} of {name}", usage, dns_names, lifetimes.leaf, now)

    server = leaf(found.server, "server", Usage.SERVER, network.dns_names(builder, cluster_domain))
    return Certificates(authority, server, leaf(found.client, "client", Usage.CLIENT, []))
