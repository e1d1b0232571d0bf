"""Certificate rotation: the webhook's is issued, stored, trusted by the API server, presented, and renewed in time.

The path that the API server is to ask at is kept beside the trust: see secret_path.py.

Level-triggered and the same in every replica: each reconcile reads the Secret and our MutatingWebhookConfiguration
anew, and does what is missing. Watches of the two only say when to do so.
"""

from __future__ import annotations

import asyncio
import logging
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
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
from buildkit_operator.webhook.secret_path import SecretPaths

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
    paths: SecretPaths
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
        self.paths.learn(self._serving.authority_key)
        await self._ensure_trust(self._serving.bundle, live)
        if self._serving.server != self._presented:
            unsettled = self._trusted_since + SETTLE_SECONDS - asyncio.get_running_loop().time()
            if unsettled > 0:
                return unsettled
            self.present(self._serving.server)
            self._presented = self._serving.server
            logger.info("Presenting a certificate that is due for renewal at %s.", self._serving.renewal)
        renewal = max(0.0, (self._serving.renewal - self.client.clock.now()).total_seconds())
        return min(renewal, self.paths.seconds_left())

    async def _stored(self) -> ServingCertificate:
        """Return what the Secret holds, after having renewed there what is due."""
        namespace, name = self.settings.webhook_namespace, self.settings.webhook_name
        live = await self.client.get(SECRET, namespace, name)
        stored = certificate.read(live)
        before = stored or self._serving
        lifetimes = Lifetimes(
            authority=timedelta(days=self.settings.authority_days), leaf=timedelta(days=self.settings.certificate_days)
        )
        clock, trusted = self.client.clock, before.authorities if before else ()
        wanted = certificate.current(stored, trusted, self.dns_name, lifetimes, clock.now(), local=clock.local())
        if wanted is not stored:
            await self._store(certificate.secret(wanted, namespace, name), live)
            logger.info("Stored a new certificate in Secret %s.", name)
        return wanted

    async def _store(self, manifest: Manifest, live: Manifest | None) -> None:
        """Write the Secret. Raises Conflict where another replica has done so meanwhile."""
        if live is None:
            await self.client.apply_new(manifest)
            return
        manifest["metadata"] |= {key: live["metadata"][key] for key in ("uid", "resourceVersion")}
        await self.client.apply(manifest)

    async def _ensure_trust(self, bundle: bytes, live: Manifest | None) -> None:
        """Have the configuration name these CAs and the path, if it exists; note since when it names the CAs."""
        webhooks = (live or {}).get("webhooks") or ()
        wanted = [_asking(webhook, bundle, self.paths.current()) for webhook in webhooks]
        differs = any(not _is_within(part, webhook) for part, webhook in zip(wanted, webhooks, strict=True))
        if live is not None and differs:
            await self.client.apply(_configured(live, wanted))
            logger.info("MutatingWebhookConfiguration %s has our CA and path now.", self.settings.webhook_name)
        if bundle != self._bundle:
            # Where nobody had to be told, nobody can have heard of it too late; and what does not exist asks nobody.
            is_news = live is not None and (differs or self._presented is not None)
            self._bundle = bundle
            self._trusted_since = asyncio.get_running_loop().time() if is_news else float("-inf")


def _asking(webhook: Manifest, bundle: bytes, path: str) -> Manifest:
    """Return what one of the configuration's webhooks is to say of how we are asked; the rest is others' to say."""
    name = webhook["name"]
    service = {"service": {"path": f"/{path}/{name.partition('.')[0]}"}} if "service" in webhook["clientConfig"] else {}
    return {"name": name, "clientConfig": {"caBundle": b64encode(bundle).decode(), **service}}


def _is_within(wanted: Manifest, live: Manifest) -> bool:
    return all(
        _is_within(value, live.get(key) or {}) if isinstance(value, dict) else live.get(key) == value
        for key, value in wanted.items()
    )


def _configured(live: Manifest, webhooks: list[Manifest]) -> Manifest:
    """Return what to apply so that the configuration says this of its webhooks, and nothing else is ours."""
    return {
        "apiVersion": CONFIGURATION.api_version,
        "kind": CONFIGURATION.kind,
        # With its uid it is never recreated, should somebody have deleted it just now.
        "metadata": {"name": live["metadata"]["name"], "uid": live["metadata"]["uid"]},
        "webhooks": webhooks,
    }
