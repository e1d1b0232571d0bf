"""Which certificates a shared builder needs, whether those it has will do, and the Secrets that carry them.

Reads certificates and decides; making keys is control.issuer's affair.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.desired import network
from buildkit_operator.desired.metadata import Manifest, child


class Usage(Enum):
    """What a certificate may be used for; the value is its extended key usage."""

    SERVER = ExtendedKeyUsageOID.SERVER_AUTH
    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class Lifetimes:
    """How long certificates live. Each is renewed when two thirds of its life are over."""

    authority: timedelta = timedelta(days=3650)
    leaf: timedelta = timedelta(days=90)


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes

    def parsed(self) -> x509.Certificate:
        """Return the certificate. Raises ValueError when it is none."""
        return x509.load_pem_x509_certificate(self.certificate)

    def __repr__(self) -> str:
        """Say nothing of the key: a representation may end up in a log."""
        return f"{type(self).__name__}(…)"


@dataclass(frozen=True)
class Certificates:
    """All that mutual TLS between one builder and its clients needs."""

    authority: KeyPair
    server: KeyPair
    client: KeyPair

    @property
    def not_after(self) -> datetime:
        """When the daemon's certificate ends."""
        return self.server.parsed().not_valid_after_utc

    @property
    def renewal(self) -> datetime:
        """When the first of them is to be renewed."""
        return min(renewal_time(pair.parsed()) for pair in (self.authority, self.server, self.client))


def renewal_time(certificate: x509.Certificate) -> datetime:
    """Return the time at which two thirds of a certificate's life are over."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begin + (end - begin) * 2 / 3


def authority_will_do(pair: KeyPair | None, now: datetime) -> bool:
    """Tell whether a certificate authority can go on issuing: one that control.issuer made, and not yet due."""
    if pair is None or not _is_whole(pair):
        return False
    certificate = pair.parsed()
    is_ours = _may_issue(certificate) and isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    return is_ours and _is_fresh(certificate, now)


def leaf_will_do(pair: KeyPair | None, authority: KeyPair, usage: Usage, dns_names: list[str], now: datetime) -> bool:
    """Tell whether a certificate is of this authority, for this use and these names, and not yet due for renewal."""
    if pair is None or not _is_whole(pair):
        return False
    certificate = pair.parsed()
    try:
        certificate.verify_directly_issued_by(authority.parsed())
    except (ValueError, TypeError, InvalidSignature):
        return False
    fits = _usages(certificate) == [usage.value] and _names(certificate) == dns_names
    return fits and _is_fresh(certificate, now)


def _is_fresh(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now < renewal_time(certificate)


def _is_whole(pair: KeyPair) -> bool:
    """Tell whether certificate and key can be read and belong together."""
    try:
        of_certificate, of_key = pair.parsed().public_key(), load_pem_private_key(pair.key, password=None).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False
    encoding, form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    return of_certificate.public_bytes(encoding, form) == of_key.public_bytes(encoding, form)


def _may_issue(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _usages(certificate: x509.Certificate) -> list[x509.ObjectIdentifier]:
    try:
        return list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return []


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return sorted(extension.value.get_values_for_type(x509.DNSName))


def secrets(builder: BuildKitBuilder, certificates: Certificates | None) -> list[Manifest]:
    """Return the builder's Secrets: authority, server and connection; without TLS the connection alone."""
    name = builder.metadata.name
    host = {"BUILDKIT_HOST": network.endpoint(builder).encode()}
    if certificates is None:
        return [_secret(builder, names.connection_secret(name), host)]
    trust = {"ca.crt": certificates.authority.certificate}
    return [
        _secret(builder, names.authority_secret(name), _pair(certificates.authority)),
        _secret(builder, names.server_secret(name), trust | _pair(certificates.server)),
        _secret(builder, names.connection_secret(name), host | trust | _pair(certificates.client)),
    ]


def key_pair(secret: Manifest | None) -> KeyPair | None:
    """Return the certificate and key that one of our Secrets carries, or None when it carries none."""
    data = (secret or {}).get("data") or {}
    try:
        return KeyPair(b64decode(data["tls.crt"]), b64decode(data["tls.key"]))
    except (KeyError, ValueError):
        return None


def _pair(pair: KeyPair) -> dict[str, bytes]:
    return {"tls.crt": pair.certificate, "tls.key": pair.key}


def _secret(builder: BuildKitBuilder, name: str, data: dict[str, bytes]) -> Manifest:
    encoded = {key: b64encode(value).decode() for key, value in data.items()}
    return child(builder, "v1", "Secret", name, type="Opaque", data=encoded)
