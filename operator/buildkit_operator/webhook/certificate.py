"""The serving certificate: what the webhook presents, the CAs that the API server trusts, and the Secret with both.

A new CA always comes with a new certificate. The one before stays trusted for as long as another replica may
still present a certificate of it, which is longest a certificate's life.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from buildkit_operator.api import names
from buildkit_operator.desired.certificates import key_pair
from buildkit_operator.kube.resources import SECRET, Manifest
from buildkit_operator.pki.issuer import issue_authority, issue_leaf
from buildkit_operator.pki.keypairs import (
    KeyPair,
    Lifetimes,
    Usage,
    authority_will_do,
    can_issue,
    is_of_the_future,
    leaf_will_do,
    made_at,
    renewal_time,
)

AUTHORITY_NAME = "BuildKit operator webhook"
"""Never the name of the certificate: whose issuer has its own name counts as self-signed."""


@dataclass(frozen=True)
class ServingCertificate:
    """A CA, those before it, and the certificate that the newest one issued."""

    authorities: tuple[bytes, ...]
    """Certificates of the CAs, PEM, the newest first."""
    authority_key: bytes
    """The newest one's key, PEM."""
    server: KeyPair

    @property
    def bundle(self) -> bytes:
        """What the API server has to trust, its caBundle, PEM."""
        return b"".join(self.authorities)

    @property
    def authority(self) -> KeyPair:
        """The newest CA."""
        return KeyPair(self.authorities[0], self.authority_key)

    @property
    def renewal(self) -> datetime:
        """When the first of them is to be renewed."""
        return min(renewal_time(pair.parsed()) for pair in (self.authority, self.server))

    def __repr__(self) -> str:
        """Say nothing of the keys."""
        return f"{type(self).__name__}(…)"


def read(secret: Manifest | None) -> ServingCertificate | None:
    """Return what our Secret holds, or None where that is not all there or cannot be read."""
    data = (secret or {}).get("data") or {}
    server = key_pair(secret)
    try:
        authorities = x509.load_pem_x509_certificates(b64decode(data["ca.crt"]))
        key = b64decode(data["ca.key"])
    except (KeyError, ValueError):
        return None
    if server is None:
        return None
    return ServingCertificate(tuple(_pem(authority) for authority in authorities), key, server)


def secret(serving: ServingCertificate, namespace: str, name: str) -> Manifest:
    """Return the Secret that holds it."""
    data = {
        "ca.crt": serving.bundle,
        "ca.key": serving.authority_key,
        "tls.crt": serving.server.certificate,
        "tls.key": serving.server.key,
    }
    return {
        "apiVersion": SECRET.api_version,
        "kind": SECRET.kind,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/name": names.OPERATOR, "app.kubernetes.io/component": "webhook"},
        },
        "data": {key: b64encode(value).decode() for key, value in data.items()},
    }


def current(
    stored: ServingCertificate | None,
    trusted: tuple[bytes, ...],
    dns_name: str,
    lifetimes: Lifetimes,
    now: datetime,
    *,
    local: datetime | None = None,
) -> ServingCertificate:
    """Return what is stored where it will do until the next reconcile, else the same with what is due renewed.

    `trusted` are CAs whose certificates a replica may still present. `now` is the time of the API server, which checks
    the certificate; an authority is replaced when this machine's, `local`, says too that it is due, or it has ended. A
    certificate of the future is issued anew, unless its authority is as young: then it is the clock that is wrong.
    """
    if (
        stored is not None
        and can_issue(stored.authority, now)
        and authority_will_do(stored.authority, min(now, local or now))
    ):
        authority = stored.authority
        is_in_doubt = is_of_the_future(authority.parsed(), now)
        will_do = leaf_will_do(stored.server, authority, Usage.SERVER, [dns_name], now)
        if will_do and (is_in_doubt or not is_of_the_future(stored.server.parsed(), now)):
            return stored
    else:
        authority = issue_authority(AUTHORITY_NAME, lifetimes.authority, now)
    server = issue_leaf(authority, dns_name, Usage.SERVER, [dns_name], lifetimes.leaf, now)
    return ServingCertificate(_authorities(authority, trusted, lifetimes, now), authority.key, server)


def _authorities(newest: KeyPair, trusted: tuple[bytes, ...], lifetimes: Lifetimes, now: datetime) -> tuple[bytes, ...]:
    made = made_at(newest.parsed())
    if made + lifetimes.leaf < now:
        return (newest.certificate,)
    before = [pem for pem in trusted if x509.load_pem_x509_certificate(pem).not_valid_after_utc > now]
    return tuple(dict.fromkeys((newest.certificate, *before)))


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)
