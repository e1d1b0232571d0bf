"""Cross-namespace grants, as Gateway API's ReferenceGrant: a consumer refers to a provider, which grants it access.

What is granted is a client certificate of the provider's CA, as long as the provider admits the consumer's namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from pydantic import ValidationError

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.controller.builders import Builders
from buildkit_operator.controller.certificate_issuance import stored_in
from buildkit_operator.controller.namespaces import NamespaceCache
from buildkit_operator.controller.ownership import is_ours
from buildkit_operator.desired.certificates import key_pair, value
from buildkit_operator.desired.consumers import Grant, admits_by_labels, granting_provider
from buildkit_operator.engine.named_objects import NamedObjects
from buildkit_operator.kube.manifests import version_of
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.pki.issuer import issue_leaf
from buildkit_operator.pki.keypairs import Lifetimes, Usage, leaf_will_do, renewal_time
from buildkit_operator.pki.rotation import Authorities, advanced, next_step

LABELS_REQUEUE: Final = timedelta(minutes=1)
"""Requeue interval where a namespace's labels decide: namespaces are not watched."""


class ProviderPending(Exception):  # noqa: N818  no error: it passes
    """The provider has no CA yet."""


class Grants:
    """Reads of the provider its resource, and by name its CA; nothing else crosses namespaces."""

    def __init__(
        self,
        builders: Builders,
        secrets: NamedObjects,
        namespaces: NamespaceCache,
        watched: Sequence[str],
        lifetimes: Lifetimes,
        earliest: Callable[[], datetime],
    ) -> None:
        """Serve the namespaces `watched`, or all where it is empty.

        `earliest` tells the time by which authorities are rotated, see certificate_issuance.issue_due.
        """
        self._builders = builders
        self._secrets = secrets
        self._namespaces = namespaces
        self._watched = watched
        self._lifetimes = lifetimes
        self._earliest = earliest

    async def reconcile(self, builder: BuildKitBuilder, now: datetime) -> Grant:
        """Return what a consumer is granted, with a certificate that will do.

        Raises TerminalError when its provider does not admit it, ProviderPending and kube.errors.ApiError.
        """
        provider, status = await self._resolve(builder)
        authorities = await self._authorities(provider)
        secret = await self._secret(builder)
        pair = key_pair(secret)
        if pair is None or not leaf_will_do(pair, authorities.active, Usage.CLIENT, [], now):
            subject = f"client of {builder.metadata.name}.{builder.metadata.namespace}"
            pair = issue_leaf(authorities.active, subject, Usage.CLIENT, [], self._lifetimes.granted, now)
        dues = [renewal_time(pair.parsed()), next_step(authorities, self._lifetimes)]
        if _asks_labels(provider):
            dues.append(now + LABELS_REQUEUE)
        decided_by = {names.connection_secret(builder.metadata.name): version_of(secret)}
        return Grant(provider, status, authorities.trust, pair, min(dues), decided_by)

    async def observe(self, builder: BuildKitBuilder, now: datetime) -> Grant | None:
        """Return what a consumer was granted, as it is, or None where that is nothing.

        Raises TerminalError when its provider does not admit it, and kube.errors.ApiError.
        """
        provider, status = await self._resolve(builder)
        secret = await self._secret(builder)
        pair, trust = key_pair(secret), value(secret, "ca.crt")
        return None if pair is None or trust is None else Grant(provider, status, trust, pair, now)

    async def _resolve(self, builder: BuildKitBuilder) -> tuple[BuildKitBuilder, Manifest]:
        """Return the provider and its status. Raises TerminalError when it does not admit the builder."""
        provider, status = await self._provider(builder)
        labels = await self._namespaces.labels(builder.metadata.namespace) if _asks_labels(provider) else {}
        return granting_provider(builder, provider, labels, self._watched), status

    async def _provider(self, builder: BuildKitBuilder) -> tuple[BuildKitBuilder | None, Manifest]:
        """Return the provider and its status, None where there is none or its spec cannot be read."""
        wanted = builder.shared.from_builder
        resource = wanted and await self._builders.get(wanted.namespace, wanted.name)
        if not resource or "deletionTimestamp" in resource["metadata"]:
            return None, {}
        try:
            return BuildKitBuilder.model_validate(resource), resource.get("status") or {}
        except ValidationError:
            return None, {}

    async def _authorities(self, provider: BuildKitBuilder) -> Authorities:
        metadata, now = provider.metadata, self._earliest()
        secret = await self._secrets.get(metadata.namespace, names.authority_secret(metadata.name))
        stored = None
        if secret is not None and is_ours(secret, provider):
            stored = stored_in(secret, None, None).authorities(now)
        if stored is None:
            raise ProviderPending(f"Builder {metadata.name} of namespace {metadata.namespace} has no certificates yet.")
        return advanced(stored, self._lifetimes, now)

    async def _secret(self, builder: BuildKitBuilder) -> Manifest | None:
        secret = await self._secrets.get(builder.metadata.namespace, names.connection_secret(builder.metadata.name))
        return secret if secret is not None and is_ours(secret, builder) else None


def _asks_labels(provider: BuildKitBuilder | None) -> bool:
    return provider is not None and admits_by_labels(provider)
