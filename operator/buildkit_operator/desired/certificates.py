"""TLS Secrets of a shared builder: its CA, the daemon's certificate, and what clients connect with."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TypeAlias

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.desired import network
from buildkit_operator.desired.metadata import child
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.pki.keypairs import KeyPair
from buildkit_operator.pki.rotation import Authorities

Versions: TypeAlias = Mapping[str, Manifest]
"""Versions of Secrets by their names, see kube.manifests.version_of."""


@dataclass(frozen=True)
class Certificates:
    """All that mutual TLS between one builder and its clients needs."""

    trust: bytes = field(repr=False)
    """Certificates, PEM, of the authorities that both sides trust."""
    server: KeyPair
    client: KeyPair
    authorities: Authorities | None
    """The builder's own authorities; None where somebody else issues."""
    renewal: datetime
    """When the first of them is to be looked at again."""
    decided_by: Versions = field(default_factory=dict)
    """Versions of the Secrets that were read for it: another version may hold other keys, which are not to be lost."""

    @property
    def oldest_authority(self) -> str:
        """The certificate, PEM, of the first authority that is trusted.

        A renewal changes it when none that it issued is valid any more, and somebody who deletes an authority at once:
        then the connections that it let in are to end, which TLS never looks at again.
        """
        first, end, _ = self.trust.partition(b"-----END CERTIFICATE-----")
        return (first + end).decode()

    @property
    def not_after(self) -> datetime:
        """When the daemon's certificate ends."""
        return self.server.parsed().not_valid_after_utc

    @property
    def not_before(self) -> datetime:
        """When it began."""
        return self.server.parsed().not_valid_before_utc


def secrets(builder: BuildKitBuilder, certificates: Certificates | None) -> list[Manifest]:
    """Return the Secrets that the operator writes: authority and server where it issues, and the connection."""
    if certificates is None:
        return [connection(builder, network.endpoint(builder), {})]
    client = client_credentials(certificates.trust, certificates.client)
    decided_by = certificates.decided_by
    written = [connection(builder, network.endpoint(builder), client, decided_by)]
    if certificates.authorities is None:
        return written
    name = builder.metadata.name
    server = {"ca.crt": certificates.trust} | _pair(certificates.server)
    return [
        _secret(builder, names.authority_secret(name), _stored(certificates.authorities), decided_by),
        _secret(builder, names.server_secret(name), server, decided_by),
        *written,
    ]


def connection(
    builder: BuildKitBuilder,
    endpoint: str,
    credentials: dict[str, bytes],
    decided_by: Versions = MappingProxyType({}),
) -> Manifest:
    """Return the Secret with all that a client needs."""
    host = {names.HOST_VARIABLE: endpoint.encode()}
    return _secret(builder, names.connection_secret(builder.metadata.name), host | credentials, decided_by)


def client_credentials(trust: bytes, client: KeyPair) -> dict[str, bytes]:
    """Return what a client proves itself with, and by which it knows the daemon."""
    return {"ca.crt": trust} | _pair(client)


def _stored(authorities: Authorities) -> dict[str, bytes]:
    """Return what the authority's Secret holds; a builder that has but one has only tls.crt and tls.key."""
    data = _pair(authorities.active)
    if authorities.next is not None:
        data |= {"next.crt": authorities.next.certificate, "next.key": authorities.next.key}
    if authorities.previous is not None:
        data |= {"previous.crt": authorities.previous}
    return data


def key_pair(secret: Manifest | None, prefix: str = "tls") -> KeyPair | None:
    """Return the certificate and key that one of our Secrets carries, or None when it carries none."""
    certificate, key = value(secret, f"{prefix}.crt"), value(secret, f"{prefix}.key")
    return None if certificate is None or key is None else KeyPair(certificate, key)


def value(secret: Manifest | None, key: str) -> bytes | None:
    """Return one value of a Secret, or None when it has none of that key, or nonsense."""
    try:
        return b64decode(((secret or {}).get("data") or {})[key])
    except (KeyError, ValueError):
        return None


def _pair(pair: KeyPair) -> dict[str, bytes]:
    return {"tls.crt": pair.certificate, "tls.key": pair.key}


def _secret(builder: BuildKitBuilder, name: str, data: dict[str, bytes], decided_by: Versions) -> Manifest:
    encoded = {key: b64encode(value).decode() for key, value in data.items()}
    secret = child(builder, "v1", "Secret", name, type="Opaque", data=encoded)
    return {**secret, "metadata": {**secret["metadata"], **decided_by.get(name, {})}}
