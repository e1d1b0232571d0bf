"""Certificate rotation: the webhook's is issued, stored, trusted by the API server, presented, and renewed in time.

Level-triggered and the same in every replica: each reconcile reads the Secret and our MutatingWebhookConfiguration
anew, and does what is missing. Watches of the two only say when to do so.
"""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from buildkit_operator.engine.jitter import jittered
from buildkit_operator.kube.auth import Connection
from buildkit_operator.kube.changes import changes
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.errors import ApiError, Conflict
from buildkit_operator.kube.resources import SECRET, Manifest, Resource
from buildkit_operator.pki.keypairs import KeyPair, Lifetimes
from buildkit_operator.settings import WebhookSettings
from buildkit_operator.webhook import certificate
from buildkit_operator.webhook.certificate import ServingCertificate

CONFIGURATION: Final = Resource(
    "admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration"
)

SETTLE_SECONDS: Final = 2.0
"""From the moment that the configuration names a CA until every API server has heard of it."""
RETRY_SECONDS: Final = 2.0
PAUSE_SECONDS: Final = 0.1
"""Between two reconciles, so that nobody's quarrel with us over the configuration takes all our time."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class CertRotation:
    """One replica's part in the rotation."""

    connection: Connection
    client: Client
    settings: WebhookSettings
    present: Callable[[KeyPair], None]
    """Presents a certificate to whoever connects from now on."""
    _serving: ServingCertificate | None = None
    _presented: KeyPair | None = None
    _bundle: bytes = b""
    _trusted_since: float = float("-inf")
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def dns_name(self) -> str:
        """The name by which the API server knows the webhook's Service."""
        return f"{self.settings.webhook_name}.{self.settings.webhook_namespace}.svc"

    async def run(self) -> None:
        """Reconcile whenever something may have changed or is due, for ever."""
        name = self.settings.webhook_name
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch(SECRET, self.settings.webhook_namespace, name))
            group.create_task(self._watch(CONFIGURATION, None, name))
            while True:
                await self._wait(await self._reconcile_or_retry())
                await asyncio.sleep(PAUSE_SECONDS)

    async def _watch(self, resource: Resource, namespace: str | None, name: str) -> None:
        while True:
            try:
                async for _ in changes(self.connection, resource, namespace, name):
                    self._wake.set()
            except ApiError as error:
                logger.warning("%s %s cannot be watched: %s", resource.kind, name, error)
            await asyncio.sleep(jittered(RETRY_SECONDS))

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(min(seconds, jittered(self.settings.resync_seconds))):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _reconcile_or_retry(self) -> float:
        try:
            return await self._reconcile()
        except Conflict:
            logger.info("Another replica was faster; trying again.")
            return PAUSE_SECONDS
        except ApiError as error:
            logger.warning("The webhook's certificate could not be reconciled: %s", error)
            return jittered(RETRY_SECONDS)

    async def _reconcile(self) -> float:
        """Do what is missing; return the seconds until there is more to do. Raises ApiError."""
        # In this order: who has seen another replica's CA in the configuration reads it in the Secret too.
        live = await self.client.get(CONFIGURATION, None, self.settings.webhook_name)
        self._serving = await self._stored()
        await self._ensure_trust(self._serving.bundle, live)
        if self._serving.server != self._presented:
            unsettled = self._trusted_since + SETTLE_SECONDS - asyncio.get_running_loop().time()
            if unsettled > 0:
                return unsettled
            self.present(self._serving.server)
            self._presented = self._serving.server
            logger.info("Presenting a certificate that is due for renewal at %s.", self._serving.renewal)
        return max(0.0, (self._serving.renewal - datetime.now(UTC)).total_seconds())

    async def _stored(self) -> ServingCertificate:
        """Return what the Secret holds, after having renewed there what is due."""
        namespace, name = self.settings.webhook_namespace, self.settings.webhook_name
        live = await self.client.get(SECRET, namespace, name)
        stored = certificate.read(live)
        before = stored or self._serving
        lifetimes = Lifetimes(
            authority=timedelta(days=self.settings.authority_days), leaf=timedelta(days=self.settings.certificate_days)
        )
        wanted = certificate.current(
            stored, before.authorities if before else (), self.dns_name, lifetimes, datetime.now(UTC)
        )
        if wanted is not stored:
            await self._store(certificate.secret(wanted, namespace, name), live)
            logger.info("Stored a new certificate in Secret %s.", name)
        return wanted

    async def _store(self, manifest: Manifest, live: Manifest | None) -> None:
        """Write the Secret. Raises Conflict where another replica has done so meanwhile."""
        if live is None:
            await self.client.apply_new(manifest)
            return
        manifest["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"]
        await self.client.apply(manifest)

    async def _ensure_trust(self, bundle: bytes, live: Manifest | None) -> None:
        """Have the configuration's caBundle name these CAs, if it exists; note since when it does."""
        encoded = b64encode(bundle).decode()
        webhooks = (live or {}).get("webhooks") or ()
        differs = any(webhook["clientConfig"].get("caBundle") != encoded for webhook in webhooks)
        if live is not None and differs:
            await self.client.apply(_trusting(live, encoded))
            logger.info("MutatingWebhookConfiguration %s trusts our CA now.", self.settings.webhook_name)
        if bundle != self._bundle:
            # Where nobody had to be told, nobody can have heard of it too late; and what does not exist asks nobody.
            is_news = live is not None and (differs or self._presented is not None)
            self._bundle = bundle
            self._trusted_since = asyncio.get_running_loop().time() if is_news else float("-inf")


def _trusting(live: Manifest, encoded: str) -> Manifest:
    """Return what to apply so that all webhooks of a configuration trust a bundle, and nothing else is ours."""
    return {
        "apiVersion": CONFIGURATION.api_version,
        "kind": CONFIGURATION.kind,
        # With its uid it is never recreated, should somebody have deleted it just now.
        "metadata": {"name": live["metadata"]["name"], "uid": live["metadata"]["uid"]},
        "webhooks": [{"name": webhook["name"], "clientConfig": {"caBundle": encoded}} for webhook in live["webhooks"]],
    }
