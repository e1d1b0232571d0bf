"""Certificates of cert-manager: what a builder asks for by them, and what became of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from cryptography import x509

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.desired import network
from buildkit_operator.desired.certificates import Certificates, key_pair, value
from buildkit_operator.desired.metadata import child, labels
from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.pki.keypairs import KeyPair

SECRETS_PAUSE: Final = timedelta(minutes=1)
"""How often the Secrets that cert-manager writes are looked at: Secrets are not watched."""

ISSUERS_LEAD: Final = timedelta(hours=1)
"""How far an issuer's clock may be ahead of the API server's, by which certificates are judged."""

CERTIFICATE_NAME: Final = "cert-manager.io/certificate-name"
"""Annotation on a Secret, by cert-manager: the Certificate whose result it holds."""

_LONGEST_COMMON_NAME: Final = 64


def requests(builder: BuildKitBuilder, cluster_domain: str) -> list[Manifest]:
    """Return the Certificates of server and client, each named like the Secret that it is to fill."""
    name = builder.metadata.name
    return [
        _request(
            builder, names.server_secret(name), "server auth", dnsNames=network.dns_names(builder, cluster_domain)
        ),
        _request(
            builder,
            names.client_secret(name),
            "client auth",
            commonName=f"{name}.{builder.metadata.namespace}"[:_LONGEST_COMMON_NAME],
        ),
    ]


def _request(builder: BuildKitBuilder, name: str, usage: str, **subject: Any) -> Manifest:
    issuer = builder.shared.tls.issuer_ref
    return child(
        builder,
        "cert-manager.io/v1",
        "Certificate",
        name,
        spec={
            "secretName": name,
            "secretTemplate": {"labels": labels(builder)},
            "issuerRef": issuer.model_dump(by_alias=True) if issuer is not None else {},
            "privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"},
            "usages": ["digital signature", usage],
            **subject,
        },
    )


def is_issued(secret: Manifest | None, now: datetime) -> bool:
    """Tell whether a Secret holds a valid certificate that cert-manager issued for the Certificate of its name."""
    if secret is None or not is_for_certificate(secret):
        return False
    pair = key_pair(secret)
    if pair is None or not pair.is_whole:
        return False
    certificate = pair.parsed()
    return certificate.not_valid_before_utc - ISSUERS_LEAD <= now < certificate.not_valid_after_utc


def is_for_certificate(secret: Manifest) -> bool:
    """Tell whether cert-manager wrote a Secret for the Certificate of the same name."""
    metadata = secret["metadata"]
    annotations: dict[str, str] = metadata.get("annotations") or {}
    return annotations.get(CERTIFICATE_NAME) == str(metadata["name"])


def issued(server: Manifest, client: Manifest, now: datetime) -> Certificates:
    """Return what two issued Secrets hold. Raises TerminalError when the issuer does not say whom to trust."""
    bundle = b"".join(dict.fromkeys(_authorities(server) + _authorities(client)))
    return Certificates(bundle, _pair(server), _pair(client), authorities=None, renewal=now + SECRETS_PAUSE)


def _pair(secret: Manifest) -> KeyPair:
    return KeyPair(value(secret, "tls.crt") or b"", value(secret, "tls.key") or b"")


def _authorities(secret: Manifest) -> list[bytes]:
    pem = value(secret, "ca.crt") or b""
    try:
        x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise TerminalError(
            Reason.ISSUER_UNSUITABLE,
            f"Secret {secret['metadata']['name']}, which cert-manager issued, names no CA in ca.crt, so "
            "neither side of a connection could check the other. Use an issuer that gives one, such as one of kind CA.",
        ) from None
    return [pem if pem.endswith(b"\n") else pem + b"\n"]


def why_not_issued(request: Manifest | None, name: str) -> str:
    """Return what is being waited for, in a sentence with cert-manager's own words."""
    said = condition(request or {}, "Ready").get("message")
    if not said:
        return f"Certificate {name} is not issued yet: cert-manager has not said anything about it."
    return f"Certificate {name} is not issued yet. cert-manager says: {str(said).strip()[:1000]}"
