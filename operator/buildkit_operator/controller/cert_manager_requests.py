"""cert-manager's Certificates of a builder: requested, waited for, and withdrawn when they are not wanted any more."""

from __future__ import annotations

import asyncio
from datetime import datetime

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.controller.apply_set import ApplySet
from buildkit_operator.controller.child_kinds import BY_RESOURCE
from buildkit_operator.controller.ownership import is_ours, ownership_conflict
from buildkit_operator.desired import cert_manager
from buildkit_operator.desired.certificate_permission import NOTHING_MORE, CertificatePermission
from buildkit_operator.desired.certificates import Certificates
from buildkit_operator.desired.metadata import owner_reference
from buildkit_operator.engine.named_objects import NamedObjects
from buildkit_operator.kube import errors
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.manifests import is_of
from buildkit_operator.kube.resources import CERTIFICATE, SECRET, Manifest


class CertificatePending(Exception):  # noqa: N818  no error: it passes
    """cert-manager has not issued a certificate yet."""


class CertManagerRequests:
    """The Certificates that builders have cert-manager fill, and the Secrets that it fills."""

    def __init__(
        self,
        client: Client,
        apply_set: ApplySet,
        secrets: NamedObjects,
        certificates: NamedObjects,
        permission: CertificatePermission = NOTHING_MORE,
    ) -> None:
        """Write through `client` and `apply_set`; the next two are TTL caches, as neither kind is watched."""
        self._client = client
        self._apply_set = apply_set
        self._secrets = secrets
        self._certificates = certificates
        self._permission = permission

    async def obtain(self, builder: BuildKitBuilder, cluster_domain: str, now: datetime) -> Certificates:
        """Return what cert-manager issued.

        Raises CertificatePending while it has not, TerminalError, PreviousOwnerTerminating and kube.errors.ApiError.
        """
        await self._check_permission(builder)
        requests = cert_manager.requests(builder, cluster_domain)
        found = await asyncio.gather(*(self._secret(builder, request["metadata"]["name"]) for request in requests))
        await self._request(builder, requests)
        for request, secret in zip(requests, found, strict=True):
            if not cert_manager.is_issued(secret, now):
                name = request["metadata"]["name"]
                live = await self._certificates.get(builder.metadata.namespace, name)
                raise CertificatePending(cert_manager.why_not_issued(live, name))
        server, client = [secret for secret in found if secret is not None]
        for secret in (server, client):
            await self._adopt(builder, secret)
        return cert_manager.issued(server, client, now)

    async def stored(self, builder: BuildKitBuilder, now: datetime) -> Certificates | None:
        """Return what was issued until now, without a request for anything; None where that is not all there."""
        namespace, name = builder.metadata.namespace, builder.metadata.name
        of = (names.server_secret(name), names.client_secret(name))
        server, client = await asyncio.gather(*(self._secrets.get(namespace, secret) for secret in of))
        if server is None or client is None:
            return None
        if not (_is_requested(builder, server) and _is_requested(builder, client)):
            return None
        if not (cert_manager.is_issued(server, now) and cert_manager.is_issued(client, now)):
            return None
        try:
            return cert_manager.issued(server, client, now)
        except TerminalError:
            return None

    async def withdraw(self, builder: BuildKitBuilder) -> None:
        """Delete the Certificates of a builder that wants none, and the Secrets that they filled.

        That comes before Secrets of the same names are applied: cert-manager would go on to fill those, and the type
        of a Secret cannot be changed.
        """
        for certificate in await self._apply_set.owned(builder, BY_RESOURCE[CERTIFICATE]):
            await self._apply_set.delete(certificate)
            namespace, name = builder.metadata.namespace, certificate["metadata"]["name"]
            self._secrets.forget(namespace, name)
            secret = await self._secrets.get(namespace, name)
            if secret is not None and cert_manager.is_for_certificate(secret) and _is_requested(builder, secret):
                await self._apply_set.delete(secret)

    async def _check_permission(self, builder: BuildKitBuilder) -> None:
        """Raise TerminalError for certificates that may not be ordered, after the end of orders that once might be.

        Without its Certificate, cert-manager renews no Secret; what was issued until now goes on until it ends.
        """
        try:
            self._permission.check(builder)
        except TerminalError:
            for certificate in await self._apply_set.owned(builder, BY_RESOURCE[CERTIFICATE]):
                await self._apply_set.delete(certificate)
            raise

    async def _request(self, builder: BuildKitBuilder, requests: list[Manifest]) -> None:
        for request in requests:
            self._certificates.forget(builder.metadata.namespace, request["metadata"]["name"])
        try:
            await self._apply_set.apply(builder, requests)
        except errors.NotFound as error:
            raise TerminalError(
                Reason.CERT_MANAGER_NOT_FOUND,
                "The cluster knows no Certificates of cert-manager.io/v1, which spec.shared.tls.mode CertManager "
                "needs: install cert-manager, or set the mode to SelfSigned.",
            ) from error

    async def _secret(self, builder: BuildKitBuilder, name: str) -> Manifest | None:
        """Read a Secret as it is now.

        Raises TerminalError when it is somebody else's: cert-manager would overwrite it.
        """
        namespace = builder.metadata.namespace
        self._secrets.forget(namespace, name)
        secret = await self._secrets.get(namespace, name)
        if secret is not None and not _is_requested(builder, secret):
            raise ownership_conflict(builder, [(SECRET, secret)])
        return secret

    async def _adopt(self, builder: BuildKitBuilder, secret: Manifest) -> None:
        """Give a Secret that cert-manager wrote an owner reference to the builder, so that it is deleted with it."""
        metadata = secret["metadata"]
        if metadata.get("ownerReferences"):
            return  # it has one, or belongs to our Certificate
        identity = {key: metadata[key] for key in ("name", "namespace", "uid")}
        owned = {"metadata": {**identity, "ownerReferences": [owner_reference(builder)]}}
        adopted = await self._client.apply({"apiVersion": SECRET.api_version, "kind": SECRET.kind, **owned})
        self._secrets.put(metadata["namespace"], metadata["name"], adopted)


def _is_requested(builder: BuildKitBuilder, secret: Manifest) -> bool:
    """Tell whether a Secret is the builder's, or was made by cert-manager at its request."""
    if is_ours(secret, builder):
        return True
    metadata = secret["metadata"]
    owners = metadata.get("ownerReferences") or ()
    if any(not is_of(owner, CERTIFICATE) or owner["name"] != metadata["name"] for owner in owners):
        return False
    requested = (metadata.get("labels") or {}).get(names.OWNER_LABEL) == builder.metadata.name
    return requested and cert_manager.is_for_certificate(secret)
