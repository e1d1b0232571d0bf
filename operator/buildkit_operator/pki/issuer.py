"""Certificate issuer: makes the keys and certificates that were found missing or due. ECDSA with P-256."""

from __future__ import annotations

from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from buildkit_operator.pki.keypairs import CLOCK_SKEW, KeyPair, Usage, made_at


def issue_authority(name: str, lifetime: timedelta, now: datetime) -> KeyPair:
    """Make a CA that can issue leaves and nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _template(name, lifetime, now)
        .issuer_name(_subject(name))
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
    )
    return _sealed(builder.sign(key, hashes.SHA256()), key)


def issue_leaf(
    authority: KeyPair, name: str, usage: Usage, dns_names: list[str], lifetime: timedelta, now: datetime
) -> KeyPair:
    """Make a certificate for one use, signed by the authority, which it never outlives.

    Nor is it older: where the authority is of the future, the certificate is, too.
    """
    issuer, issuer_key = authority.parsed(), load_pem_private_key(authority.key, password=None)
    if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is not one of ours")
    key = ec.generate_private_key(ec.SECP256R1())
    now = max(now, made_at(issuer))
    builder = (
        _template(name, min(lifetime, issuer.not_valid_after_utc - now), now)
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage.value]), critical=False)
    )
    if dns_names:
        names = x509.SubjectAlternativeName([x509.DNSName(dns_name) for dns_name in dns_names])
        builder = builder.add_extension(names, critical=False)
    return _sealed(builder.sign(issuer_key, hashes.SHA256()), key)


def _template(name: str, lifetime: timedelta, now: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
    )


def _subject(name: str) -> x509.Name:
    # The common name is bounded at 64 characters (RFC 5280, ub-common-name).
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _sealed(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> KeyPair:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return KeyPair(certificate.public_bytes(Encoding.PEM), pem)
