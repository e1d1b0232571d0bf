"""Has cert-manager issue a builder's certificates, and takes them back when they are not wanted any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.controller.objects import Objects, not_ours
from buildkit_operator.desired import cert_manager
from buildkit_operator.desired.certificates import Certificates
from buildkit_operator.desired.metadata import owner_reference
from buildkit_operator.engine.cache import owned_by
from buildkit_operator.engine.secrets import Secrets
from buildkit_operator.kube import errors
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import CERTIFICATE, SECRET, Manifest


class CertificatePending(Exception):  # noqa: N818  no error: it passes
    """cert-manager has not issued a certificate yet."""


class CertManager:
    """Works by name: neither Secrets nor Certificates are watched, and the latter kind need not exist."""

    def __init__(
        self, client: Client, objects: Objects, secrets: Secrets, clock: Callable[[], float], resync_seconds: float
    ) -> None:
        """Write through `client`; whether the kind exists, and that nothing is there, is asked anew each resync."""
        self._client = client
        self._objects = objects
        self._secrets = secrets
        self._clock = clock
        self._resync_seconds = resync_seconds
        self._installed: tuple[float, bool] = (0.0, False)
        self._withdrawn: dict[str, float] = {}

    async def obtain(self, builder: BuildKitBuilder, cluster_domain: str, now: datetime) -> Certificates:
        """Return what cert-manager issued.

        Raises CertificatePending while it has not, TerminalError, OwnerIsGone and kube.errors.ApiError.
        """
        self._withdrawn.pop(builder.metadata.uid, None)
        requests = cert_manager.requests(builder, cluster_domain)
        found = await asyncio.gather(*(self._secret(builder, request["metadata"]["name"]) for request in requests))
        await self._request(builder, requests)
        for request, secret in zip(requests, found, strict=True):
            if not cert_manager.is_issued(secret, now):
                name = request["metadata"]["name"]
                live = await self._client.get(CERTIFICATE, builder.metadata.namespace, name)
                raise CertificatePending(cert_manager.why_not_issued(live, name))
        server, client = [secret for secret in found if secret is not None]
        for secret in (server, client):
            await self._adopt(builder, secret)
        return cert_manager.issued(server, client, now)

    async def stored(self, builder: BuildKitBuilder, now: datetime) -> Certificates | None:
        """Return what was issued until now, without ordering anything; None where that is not all there."""
        namespace, name = builder.metadata.namespace, builder.metadata.name
        of = (names.server_secret(name), names.client_secret(name))
        server, client = await asyncio.gather(*(self._secrets.get(namespace, secret) for secret in of))
        if server is None or client is None:
            return None
        if not (cert_manager.is_issued(server, now) and cert_manager.is_issued(client, now)):
            return None
        try:
            return cert_manager.issued(server, client, now)
        except TerminalError:
            return None

    async def _request(self, builder: BuildKitBuilder, requests: list[Manifest]) -> None:
        try:
            await self._objects.apply(builder, requests)
        except errors.NotFound as error:
            raise TerminalError(
                Reason.CERT_MANAGER_NOT_FOUND,
                "The cluster knows no Certificates of cert-manager.io/v1, which spec.shared.tls.mode CertManager "
                "needs: install cert-manager, or set the mode to SelfSigned.",
            ) from error
        self._installed = (self._clock() + self._resync_seconds, True)

    async def _secret(self, builder: BuildKitBuilder, name: str) -> Manifest | None:
        """Read a Secret as it is now. Raises TerminalError when it is another's: cert-manager would overwrite it."""
        namespace = builder.metadata.namespace
        self._secrets.forget(namespace, name)
        secret = await self._secrets.get(namespace, name)
        if secret is not None and not _is_ordered(builder, secret):
            raise not_ours(builder, SECRET, secret)
        return secret

    async def _adopt(self, builder: BuildKitBuilder, secret: Manifest) -> None:
        """Make a Secret that cert-manager wrote the builder's, so that it is deleted with it."""
        metadata = secret["metadata"]
        if metadata.get("ownerReferences"):
            return  # it is, or belongs to our Certificate
        identity = {key: metadata[key] for key in ("name", "namespace", "uid")}
        owned = {"metadata": {**identity, "ownerReferences": [owner_reference(builder)]}}
        adopted = await self._client.apply({"apiVersion": SECRET.api_version, "kind": SECRET.kind, **owned})
        self._secrets.put(metadata["namespace"], metadata["name"], adopted)

    async def withdraw(self, builder: BuildKitBuilder) -> None:
        """Delete the Certificates of a builder that wants none, and the Secrets that they filled."""
        uid, now = builder.metadata.uid, self._clock()
        if self._withdrawn.get(uid, 0.0) > now or not await self._is_installed(now):
            return
        namespace, name = builder.metadata.namespace, builder.metadata.name
        for name_of_both in (names.server_secret(name), names.client_secret(name)):
            request = await self._client.get(CERTIFICATE, namespace, name_of_both, metadata_only=True)
            if request is not None and owned_by(request, uid):
                await self._delete(builder, name_of_both, request["metadata"]["uid"])
        self._withdrawn = {known: until for known, until in self._withdrawn.items() if until > now}
        self._withdrawn[uid] = now + self._resync_seconds

    async def _delete(self, builder: BuildKitBuilder, name: str, uid: str) -> None:
        namespace = builder.metadata.namespace
        await self._client.delete(CERTIFICATE, namespace, name, uid=uid)
        self._secrets.forget(namespace, name)
        secret = await self._secrets.get(namespace, name)
        if secret is not None and cert_manager.is_for_certificate(secret) and _is_ordered(builder, secret):
            await self._client.delete(SECRET, namespace, name, uid=secret["metadata"]["uid"])
            self._secrets.put(namespace, name, None)

    async def _is_installed(self, now: float) -> bool:
        until, installed = self._installed
        if until <= now:
            installed = await self._client.serves(CERTIFICATE)
            self._installed = (now + self._resync_seconds, installed)
        return installed


def _is_ordered(builder: BuildKitBuilder, secret: Manifest) -> bool:
    """Tell whether a Secret is the builder's, or was made by cert-manager at its order."""
    if owned_by(secret, builder.metadata.uid):
        return True
    metadata = secret["metadata"]
    owners = metadata.get("ownerReferences") or ()
    if any((owner["kind"], owner["name"]) != (CERTIFICATE.kind, metadata["name"]) for owner in owners):
        return False
    ordered = (metadata.get("labels") or {}).get(names.OWNER_LABEL) == builder.metadata.name
    return ordered and cert_manager.is_for_certificate(secret)
