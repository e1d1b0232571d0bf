"""Cross-namespace references and grants: builders that use another namespace's daemons, and what those consist of.

A handshake as in Gateway API: the consumer refers to its provider, and the provider grants that to the consumer's
namespace, as a ReferenceGrant does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.api.selectors import LabelSelector, LabelSelectorRequirement
from buildkit_operator.api.shared import TLSMode
from buildkit_operator.desired import connector, network
from buildkit_operator.desired.certificates import Versions, client_credentials, connection
from buildkit_operator.desired.platform import Platform
from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.pki.keypairs import KeyPair


@dataclass(frozen=True)
class Grant:
    """What a provider grants its consumer: its daemons, and a certificate to reach them."""

    provider: BuildKitBuilder
    status: Mapping[str, Any]
    """The provider's, as it was last written."""
    trust: bytes
    client: KeyPair
    due: datetime
    """When the certificate is to be renewed, or the reference to be checked again."""
    decided_by: Versions = field(default_factory=dict)
    """See Certificates.decided_by."""

    @property
    def name(self) -> str:
        """The provider, as messages call it."""
        return f"builder {self.provider.metadata.name} of namespace {self.provider.metadata.namespace}"

    def condition(self, kind: str) -> Mapping[str, Any]:
        """Return a condition of the provider's; of its words, only reasons are for other namespaces."""
        return condition({"status": self.status}, kind)

    @property
    def not_after(self) -> datetime:
        """When the certificate, and with it the access, ends unless it is renewed."""
        return self.client.parsed().not_valid_after_utc

    @property
    def not_before(self) -> datetime:
        """When the certificate began."""
        return self.client.parsed().not_valid_before_utc


def children(builder: BuildKitBuilder, grant: Grant, platform: Platform) -> list[Manifest]:
    """Return the objects of a consumer."""
    credentials = client_credentials(grant.trust, grant.client)
    return [
        connection(builder, network.endpoint(grant.provider), credentials, grant.decided_by),
        connector.config_map(builder, connector.Upstream.of(grant.provider, platform)),
    ]


def granting_provider(
    builder: BuildKitBuilder, provider: BuildKitBuilder | None, labels: Mapping[str, str], watched: Sequence[str]
) -> BuildKitBuilder:
    """Return the provider if it admits the consumer, whose namespace has these labels. Raises TerminalError otherwise.

    `watched` are the namespaces that this operator serves; none are all.
    """
    wanted = builder.shared.from_builder
    if wanted is None:
        raise ValueError("no consumer")
    where = f"Builder {wanted.name} of namespace {wanted.namespace}, which spec.shared.from names,"
    if watched and wanted.namespace not in watched:
        raise TerminalError(
            Reason.PROVIDER_NOT_WATCHED,
            f"{where} is none of this operator's: it does not watch that namespace. Ask its administrator.",
        )
    if provider is None or not admits(provider, builder.metadata.namespace, labels):
        # Which builders another namespace has, and of what sort, is told to those alone who are admitted.
        raise TerminalError(
            Reason.NOT_ADMITTED,
            f"{where} has no daemons for namespace {builder.metadata.namespace}: there is no such builder, it has no "
            "daemons of its own, or its spec.shared.allowedNamespaces neither names nor selects this namespace. Ask "
            "its owners. Certificates that were issued before end within a day.",
        )
    return provider


def admits(provider: BuildKitBuilder, namespace: str, labels: Mapping[str, str]) -> bool:
    """Tell whether a provider has daemons, and lets builders of a namespace with these labels use them."""
    allowed = provider.shared.allowed_namespaces
    if allowed is None or provider.role is not Role.DAEMONS or provider.shared.tls.mode is not TLSMode.SELF_SIGNED:
        return False
    return namespace in allowed.names or (allowed.selector is not None and selects(allowed.selector, labels))


def admits_by_labels(provider: BuildKitBuilder) -> bool:
    """Tell whether labels decide, which are not watched."""
    allowed = provider.shared.allowed_namespaces
    return allowed is not None and allowed.selector is not None


def selects(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Tell whether all that a selector says holds of labels; one that says nothing selects nothing here."""
    if not selector.match_labels and not selector.match_expressions:
        return False
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _OPERATORS[requirement.operator](requirement, labels) for requirement in selector.match_expressions
    )


def _is_in(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    return labels.get(requirement.key) in requirement.values


def _is_not_in(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    # As in Kubernetes, a label that is not there has none of the values.
    return not _is_in(requirement, labels)


def _exists(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    return requirement.key in labels


def _does_not_exist(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    return requirement.key not in labels


_OPERATORS: Final = {"In": _is_in, "NotIn": _is_not_in, "Exists": _exists, "DoesNotExist": _does_not_exist}
