"""Certificate issuance for a builder: those in its Secrets are used until they are due, and then issued anew.

They come from the builder's own CA, or from cert-manager.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.controller.cert_manager_requests import CertManagerRequests
from buildkit_operator.controller.ownership import is_ours
from buildkit_operator.desired import cert_manager, issued_by_cert_manager, needs_certificates, network
from buildkit_operator.desired.certificates import Certificates, Versions, key_pair, value
from buildkit_operator.engine.named_objects import NamedObjects
from buildkit_operator.kube.clock import ServerClock
from buildkit_operator.kube.manifests import version_of
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.pki.issuer import issue_authority, issue_leaf
from buildkit_operator.pki.keypairs import (
    KeyPair,
    Lifetimes,
    Usage,
    can_issue,
    is_of_the_future,
    leaf_will_do,
    names_of,
    renewal_time,
)
from buildkit_operator.pki.rotation import Authorities, advanced, next_step, preparation, usable


@dataclass(frozen=True)
class StoredCertificates:
    """What a builder's Secrets hold now; each may be missing or useless."""

    active: KeyPair | None
    next: KeyPair | None
    previous: bytes | None
    server: KeyPair | None
    client: KeyPair | None
    decided_by: Versions = field(default_factory=dict)
    """Versions of the Secrets that they were read from."""

    def authorities(self, now: datetime) -> Authorities | None:
        """Return the authorities that can be worked with, or None."""
        return usable(self.active, self.next, self.previous, now)

    def complete(self, lifetimes: Lifetimes, now: datetime) -> Certificates | None:
        """Return all of them as they are, or None when one is missing."""
        authorities = self.authorities(now)
        if authorities is None or self.server is None or self.client is None:
            return None
        return _certificates(authorities, self.server, self.client, lifetimes, self.decided_by)


class CertificateIssuance:
    """The certificates of builders with daemons of their own, as spec.shared.tls has them."""

    def __init__(
        self,
        secrets: NamedObjects,
        requests: CertManagerRequests,
        cluster_domain: str,
        lifetimes: Lifetimes,
        clock: ServerClock,
    ) -> None:
        """Read Secrets from `secrets`; `cluster_domain` is the DNS domain that servers' certificates are for."""
        self._secrets = secrets
        self._requests = requests
        self._cluster_domain = cluster_domain
        self._lifetimes = lifetimes
        self._clock = clock

    async def reconcile(self, builder: BuildKitBuilder) -> Certificates | None:
        """Return certificates that will do, new ones where those that are there will not; None without TLS.

        Raises CertificatePending, TerminalError, PreviousOwnerTerminating and kube.errors.ApiError.
        """
        if issued_by_cert_manager(builder):
            return await self._requests.obtain(builder, self._cluster_domain, self._clock.now())
        await self._requests.withdraw(builder)
        if not needs_certificates(builder):
            return None
        stored = await read_stored(builder, self._secrets)
        now, local = self._clock.now(), self._clock.local()
        return issue_due(builder, stored, self._cluster_domain, self._lifetimes, now, local=local)

    async def renew(self, builder: BuildKitBuilder) -> Certificates | None:
        """Return certificates that will do for daemons as they are: for the same names, by the same CA, None without.

        Daemons that are not to be rolled would not learn of another CA. Raises kube.errors.ApiError.
        """
        if issued_by_cert_manager(builder) or not needs_certificates(builder):
            return await self.observe(builder)
        stored = await read_stored(builder, self._secrets)
        now, local = self._clock.now(), self._clock.local()
        authorities = stored.authorities(min(now, local))
        if authorities is None or stored.server is None or not stored.server.is_whole:
            return None
        return _issue_leaves(builder, stored, authorities, names_of(stored.server), self._lifetimes, (now, local))

    async def observe(self, builder: BuildKitBuilder) -> Certificates | None:
        """Return the certificates that are there; None where one is missing. Raises kube.errors.ApiError."""
        if issued_by_cert_manager(builder):
            return await self._requests.stored(builder, self._clock.now())
        if not needs_certificates(builder):
            return None
        return (await read_stored(builder, self._secrets)).complete(self._lifetimes, self._clock.earliest())

    def filled_by_cert_manager(self, builder: BuildKitBuilder) -> list[str]:
        """Return the names of the builder's Secrets that are cert-manager's to write."""
        if not issued_by_cert_manager(builder):
            return []
        return [request["spec"]["secretName"] for request in cert_manager.requests(builder, self._cluster_domain)]


async def read_stored(builder: BuildKitBuilder, secrets: NamedObjects) -> StoredCertificates:
    """Read what the builder's own Secrets hold. Raises kube.errors.ApiError."""

    async def own(name: str) -> Manifest | None:
        secret = await secrets.get(builder.metadata.namespace, name)
        # A Secret of that name that is somebody else's is none of ours: applying it will say so.
        return secret if secret is not None and is_ours(secret, builder) else None

    name = builder.metadata.name
    of = (names.authority_secret(name), names.server_secret(name), names.connection_secret(name))
    found = await asyncio.gather(*map(own, of))
    return replace(stored_in(*found), decided_by=dict(zip(of, map(version_of, found), strict=True)))


def stored_in(authority: Manifest | None, server: Manifest | None, connection: Manifest | None) -> StoredCertificates:
    """Return what these Secrets hold."""
    return StoredCertificates(
        key_pair(authority),
        key_pair(authority, "next"),
        value(authority, "previous.crt"),
        key_pair(server),
        key_pair(connection),
    )


def issue_due(
    builder: BuildKitBuilder,
    stored: StoredCertificates,
    cluster_domain: str,
    lifetimes: Lifetimes,
    now: datetime,
    *,
    local: datetime | None = None,
) -> Certificates:
    """Return certificates that will do, those found where they do and new ones elsewhere.

    `now` is the API server's time and `local` this machine's, where it is another. What is issued begins by the first.
    Both must say that an authority's time is over before it is replaced, or the next step of its rotation taken: that
    cannot be undone. And both must say that a certificate is of the future before that is issued anew: they were wrong
    then, and are right now. While they say so of the authority itself, they are wrong now, and nothing is renewed.
    """
    earliest = min(now, local or now)
    name = f"{builder.metadata.name}.{builder.metadata.namespace}"
    make = partial(issue_authority, f"BuildKit builder {name}", lifetimes.authority, now)
    authorities = rotated(stored.authorities(earliest), lifetimes, earliest, make)
    dns_names = network.dns_names(builder, cluster_domain)
    return _issue_leaves(builder, stored, authorities, dns_names, lifetimes, (now, local or now))


def _issue_leaves(
    builder: BuildKitBuilder,
    stored: StoredCertificates,
    authorities: Authorities,
    dns_names: list[str],
    lifetimes: Lifetimes,
    times: tuple[datetime, datetime],
) -> Certificates:
    """Return certificates of the server, for these names, and of the client: those found where they will do.

    `times` are the API server's and this machine's.
    """
    now, earliest, latest = times[0], min(times), max(times)
    name = f"{builder.metadata.name}.{builder.metadata.namespace}"
    active = authorities.active
    issued_at = now if can_issue(active, now) else earliest
    is_in_doubt = is_of_the_future(active.parsed(), latest)

    def leaf(pair: KeyPair | None, role: str, usage: Usage, dns_names: list[str]) -> KeyPair:
        will_do = pair is not None and leaf_will_do(pair, active, usage, dns_names, issued_at)
        if pair is not None and will_do and (is_in_doubt or not is_of_the_future(pair.parsed(), latest)):
            return pair
        return issue_leaf(active, f"{role} of {name}", usage, dns_names, lifetimes.leaf, issued_at)

    server = leaf(stored.server, "server", Usage.SERVER, dns_names)
    client = leaf(stored.client, "client", Usage.CLIENT, [])
    return _certificates(authorities, server, client, lifetimes, stored.decided_by)


def rotated(
    stored: Authorities | None, lifetimes: Lifetimes, now: datetime, make: Callable[[], KeyPair]
) -> Authorities:
    """Return the authorities with every step taken that is due, new ones where none can be worked with."""
    authorities = advanced(stored or Authorities(make()), lifetimes, now)
    due = preparation(authorities)
    return replace(authorities, next=make()) if due is not None and due <= now else authorities


def _certificates(
    authorities: Authorities, server: KeyPair, client: KeyPair, lifetimes: Lifetimes, decided_by: Versions
) -> Certificates:
    renewals = [renewal_time(leaf.parsed()) for leaf in (server, client)]
    renewal = min(next_step(authorities, lifetimes), *renewals)
    return Certificates(authorities.trust, server, client, authorities, renewal, decided_by)
