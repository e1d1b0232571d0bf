"""Which certificates the operator orders for builders: its own rights go further than their editors'."""

from typing import Any

import pytest

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.desired.certificate_permission import NOTHING_MORE, CertificatePermission
from tests.unit.make import make_builder


def builder(*dns_names: str, **issuer: str) -> BuildKitBuilder:
    tls: dict[str, Any] = {"mode": "CertManager", "issuerRef": {"name": "builds", **issuer}}
    return make_builder(shared={"tls": {**tls, "dnsNames": list(dns_names)}})


def refusal(permission: CertificatePermission, of: BuildKitBuilder) -> str:
    """Return what is said, nothing where it is allowed."""
    try:
        permission.check(of)
    except TerminalError as problem:
        return f"{problem.reason}: {problem.message}"
    return ""


def test_an_issuer_of_the_builders_namespace_and_the_services_names_need_nobodys_word() -> None:
    assert refusal(NOTHING_MORE, builder()) == ""


@pytest.mark.parametrize(
    ("issuer", "named"),
    [
        ({"kind": "ClusterIssuer"}, "ClusterIssuer/builds"),
        ({"kind": "ClusterIssuer", "name": "corp-ca"}, "ClusterIssuer/corp-ca"),
        ({"kind": "issuer"}, "issuer/builds"),
        ({"group": "example.com"}, "Issuer.example.com/builds"),
        (
            {"kind": "AWSPCAClusterIssuer", "group": "awspca.cert-manager.io"},
            "AWSPCAClusterIssuer.awspca.cert-manager.io",
        ),
    ],
)
def test_any_other_issuer_is_refused_with_the_setting_that_allows_it(issuer: dict[str, str], named: str) -> None:
    said = refusal(NOTHING_MORE, builder(**issuer))

    assert said.startswith(f"{Reason.CERTIFICATE_NOT_ALLOWED}: ")
    assert named in said
    assert "BUILDKIT_OPERATOR_CERTIFICATE_ISSUERS (in the chart certificates.issuers) does not have it" in said


@pytest.mark.parametrize(
    ("allowed", "issuer", "may"),
    [
        ("ClusterIssuer/builds", {"kind": "ClusterIssuer"}, True),
        ("ClusterIssuer/*", {"kind": "ClusterIssuer"}, True),
        ("ClusterIssuer/build", {"kind": "ClusterIssuer"}, False),
        ("ClusterIssuer/builds2", {"kind": "ClusterIssuer"}, False),
        ("ClusterIssuer/*", {"kind": "ClusterIssuer", "group": "example.com"}, False),
        ("ClusterIssuer.example.com/*", {"kind": "ClusterIssuer"}, False),
        ("ClusterIssuer.example.com/*", {"kind": "ClusterIssuer", "group": "example.com"}, True),
        ("Issuer.example.com/builds", {"group": "example.com"}, True),
    ],
)
def test_an_issuer_is_allowed_by_kind_group_and_name(allowed: str, issuer: dict[str, str], *, may: bool) -> None:
    said = refusal(CertificatePermission(issuers=(allowed,)), builder(**issuer))

    assert (said == "") is may


@pytest.mark.parametrize(
    ("allowed", "name", "may"),
    [
        ("", "builds.example.com", False),
        ("builds.example.com", "builds.example.com", True),
        ("builds.example.com", "a.builds.example.com", False),
        ("builds.example.com", "*.builds.example.com", False),
        ("*.example.com", "builds.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "*.example.com", True),
        ("*.example.com", "*.a.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "badexample.com", False),
        ("*.example.com", "example.com.evil.org", False),
        ("*.ci.example.com", "*.example.com", False),
        ("*", "anything.org", True),
    ],
)
def test_a_name_is_allowed_as_itself_or_below_a_domain(allowed: str, name: str, *, may: bool) -> None:
    permission = CertificatePermission(dns_names=tuple(filter(None, [allowed])))

    assert (refusal(permission, builder(name)) == "") is may


def test_the_names_that_are_refused_are_told() -> None:
    said = refusal(
        CertificatePermission(("good.org",)), builder("a.org", "good.org", "b.org", "c.org", "d.org", "e.org")
    )

    assert "spec.shared.tls.dnsNames has a.org, b.org, c.org and 2 more" in said
    assert "BUILDKIT_OPERATOR_CERTIFICATE_DNS_NAMES" in said
