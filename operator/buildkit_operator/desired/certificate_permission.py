"""Certificate permission: which names and issuers the operator may order certificates of cert-manager for. No I/O.

It orders with its own rights, which go further than those of who edits a builder. Without the administrator's word it
orders what cannot harm others: the Service's own names, by an Issuer of the builder's namespace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.api.shared import IssuerReference

NAMES_SETTING: Final = "BUILDKIT_OPERATOR_CERTIFICATE_DNS_NAMES (in the chart certificates.dnsNames)"
ISSUERS_SETTING: Final = "BUILDKIT_OPERATOR_CERTIFICATE_ISSUERS (in the chart certificates.issuers)"
"""Each by both names that an administrator may know it by."""

_OWN_ISSUER: Final = "Issuer"
CERT_MANAGER: Final = "cert-manager.io"
"""API group of cert-manager's own issuers."""
_MENTIONED: Final = 3
"""How many of several names a sentence has."""


@dataclass(frozen=True, slots=True)
class CertificatePermission:
    """What the administrator allows beyond the Service's names and an Issuer of the builder's namespace."""

    dns_names: Sequence[str] = ()
    """Names, each of which stands for itself; `*.example.com` for all below example.com, of any depth, wildcards among
    them, and not for example.com; `*` for every name.
    """
    issuers: Sequence[str] = ()
    """Issuers as KIND/NAME, of another group than cert-manager's as KIND.GROUP/NAME; the name may be `*`."""

    def check(self, builder: BuildKitBuilder) -> None:
        """Raise TerminalError where a builder asks cert-manager for more."""
        tls = builder.shared.tls
        if tls.issuer_ref is not None and not self._allows_issuer(tls.issuer_ref):
            raise TerminalError(
                Reason.CERTIFICATE_NOT_ALLOWED,
                f"spec.shared.tls.issuerRef names {_issuer(tls.issuer_ref)}, by which the operator may order no "
                f"certificates: {ISSUERS_SETTING} does not have it. Name an Issuer of namespace "
                f"{builder.metadata.namespace}, or have the administrator add it to that setting.",
            )
        refused = [name for name in tls.dns_names if not self._allows_name(name)]
        if refused:
            raise TerminalError(
                Reason.CERTIFICATE_NOT_ALLOWED,
                f"spec.shared.tls.dnsNames has {_listed(refused)}, for which the operator may order no certificates: "
                f"{NAMES_SETTING} does not have that. Take it out, have the administrator add it to that setting, or "
                "set spec.shared.tls.mode to SelfSigned, which takes any name.",
            )

    def _allows_issuer(self, issuer: IssuerReference) -> bool:
        if (issuer.kind, issuer.group) == (_OWN_ISSUER, CERT_MANAGER):
            return True
        named = _issuer(issuer)
        # A kind is any text in the spec; with a dot or a slash in it, it would spell another group or name.
        return issuer.kind.isalnum() and not {named, f"{named.partition('/')[0]}/*"}.isdisjoint(self.issuers)

    def _allows_name(self, name: str) -> bool:
        return any(
            allowed in ("*", name) or (allowed.startswith("*.") and name.endswith(allowed[1:]))
            for allowed in self.dns_names
        )


NOTHING_MORE: Final = CertificatePermission()


def _issuer(reference: IssuerReference) -> str:
    """Return an issuer as the setting names it."""
    kind = reference.kind if reference.group == CERT_MANAGER else f"{reference.kind}.{reference.group}"
    return f"{kind}/{reference.name}"


def _listed(dns_names: Sequence[str]) -> str:
    more = f" and {len(dns_names) - _MENTIONED} more" if len(dns_names) > _MENTIONED else ""
    return ", ".join(dns_names[:_MENTIONED]) + more
