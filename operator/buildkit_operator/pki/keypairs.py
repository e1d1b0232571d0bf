"""Key pairs: a certificate with its key, and whether one will do. Reads certificates; pki.issuer makes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import cached_property
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

CLOCK_SKEW: Final = timedelta(minutes=5)
"""How far a client's clock may be behind ours: certificates begin that much early."""


class Usage(Enum):
    """What a certificate may be used for; the value is its extended key usage."""

    SERVER = ExtendedKeyUsageOID.SERVER_AUTH
    CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class Lifetimes:
    """How long certificates live. Each is renewed when two thirds of its life are over."""

    authority: timedelta = timedelta(days=3650)
    leaf: timedelta = timedelta(days=90)
    granted: timedelta = timedelta(hours=24)
    """Of a client's certificate in another namespace, which ends by itself when that is admitted no more."""


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes

    def parsed(self) -> x509.Certificate:
        """Return the certificate. Raises ValueError when it is none."""
        return self._parsed

    # Each is asked for a dozen times while one builder is reconciled.
    @cached_property
    def _parsed(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate)

    @cached_property
    def is_whole(self) -> bool:
        """Whether certificate and key can be read and belong together."""
        try:
            of_certificate = self.parsed().public_key()
            of_key = load_pem_private_key(self.key, password=None).public_key()
        except (ValueError, TypeError, UnsupportedAlgorithm):
            return False
        encoding, form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        return of_certificate.public_bytes(encoding, form) == of_key.public_bytes(encoding, form)

    def __repr__(self) -> str:
        """Say nothing of the key: a representation may end up in a log."""
        return f"{type(self).__name__}(…)"


def parse(pem: bytes | None) -> x509.Certificate | None:
    """Return the certificate, or None when it is none."""
    try:
        return None if pem is None else x509.load_pem_x509_certificate(pem)
    except ValueError:
        return None


def renewal_time(certificate: x509.Certificate) -> datetime:
    """Return the time at which two thirds of a certificate's life are over."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return begin + (end - begin) * 2 / 3


def made_at(certificate: x509.Certificate) -> datetime:
    """Return when pki.issuer made a certificate."""
    return certificate.not_valid_before_utc + CLOCK_SKEW


def is_of_the_future(certificate: x509.Certificate, now: datetime) -> bool:
    """Tell whether a certificate begins later than now, which no clock that was right has ever made so."""
    return certificate.not_valid_before_utc > now


def can_issue(pair: KeyPair | None, now: datetime) -> bool:
    """Tell whether this is a CA that pki.issuer made, and has not ended.

    One that has not begun says of the clock, and not of itself, that it is wrong.
    """
    if pair is None or not pair.is_whole:
        return False
    certificate = pair.parsed()
    is_ours = _is_authority(certificate) and isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    return is_ours and now < certificate.not_valid_after_utc


def authority_will_do(pair: KeyPair | None, now: datetime) -> bool:
    """Tell whether a CA can go on issuing and is not yet due for renewal."""
    return pair is not None and can_issue(pair, now) and _is_fresh(pair.parsed(), now)


def leaf_will_do(pair: KeyPair | None, authority: KeyPair, usage: Usage, dns_names: list[str], now: datetime) -> bool:
    """Tell whether a certificate is of this CA, for this use and these names, and not yet due for renewal."""
    if pair is None or not pair.is_whole:
        return False
    certificate = pair.parsed()
    try:
        certificate.verify_directly_issued_by(authority.parsed())
    except (ValueError, TypeError, InvalidSignature):
        return False
    fits = _usages(certificate) == [usage.value] and _names(certificate) == dns_names
    return fits and _is_fresh(certificate, now)


def _is_fresh(certificate: x509.Certificate, now: datetime) -> bool:
    return now < renewal_time(certificate)


def names_of(pair: KeyPair) -> list[str]:
    """Return the DNS names that a certificate is for. Raises ValueError when it is none."""
    return _names(pair.parsed())


def _is_authority(certificate: x509.Certificate) -> bool:
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
