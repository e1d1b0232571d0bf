"""What a builder asks of cert-manager, and what counts as its answer."""

from base64 import b64encode
from datetime import timedelta
from typing import Any

import pytest

from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.desired import cert_manager
from buildkit_operator.desired.certificates import secrets
from buildkit_operator.pki.issuer import issue_authority, issue_leaf
from buildkit_operator.pki.keypairs import KeyPair, Usage
from tests.unit.make import NOW, children_of, make_builder

DAY = timedelta(days=1)
BUILDER = make_builder(
    shared={"tls": {"mode": "CertManager", "issuerRef": {"name": "builds", "kind": "ClusterIssuer"}}}
)
AUTHORITY = issue_authority("issuer", 30 * DAY, NOW)


def leaf(usage: Usage = Usage.SERVER) -> KeyPair:
    return issue_leaf(AUTHORITY, "leaf", usage, ["demo"] if usage is Usage.SERVER else [], 9 * DAY, NOW)


def secret(
    name: str = "demo-buildkitd-tls", *, of: str | None = None, pair: KeyPair | None = None, ca: bytes | None = None
) -> Any:
    pair = pair or leaf()
    data = {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": AUTHORITY.certificate if ca is None else ca}
    return {
        "metadata": {"name": name, "annotations": {cert_manager.CERTIFICATE_NAME: of or name}},
        "data": {key: b64encode(value).decode() for key, value in data.items()},
    }


def test_the_issuer_is_the_builders() -> None:
    for request in cert_manager.requests(BUILDER, "cluster.local"):
        assert request["spec"]["issuerRef"] == {"name": "builds", "kind": "ClusterIssuer", "group": "cert-manager.io"}


def test_a_common_name_fits_into_a_certificate() -> None:
    long = make_builder("b" * 40, shared={"tls": {"mode": "CertManager", "issuerRef": {"name": "builds"}}})
    long = long.model_copy(update={"metadata": long.metadata.model_copy(update={"namespace": "n" * 63})})

    (_, client) = cert_manager.requests(long, "cluster.local")
    assert len(client["spec"]["commonName"]) == 64


def test_an_issued_secret_counts() -> None:
    assert cert_manager.is_issued(secret(), NOW)


@pytest.mark.parametrize(
    "other",
    [
        None,
        {"metadata": {"name": "demo-buildkitd-tls"}, "data": secret()["data"]},
        secret(of="another"),
        {**secret(), "data": {}},
        secret(pair=KeyPair(leaf().certificate, leaf().key)),
        secret(pair=KeyPair(b"nonsense", b"nonsense")),
    ],
)
def test_what_is_none_does_not_count(other: Any) -> None:
    assert not cert_manager.is_issued(other, NOW)


@pytest.mark.parametrize("now", [NOW - DAY, NOW + 10 * DAY])
def test_what_is_not_valid_does_not_count(now: Any) -> None:
    assert not cert_manager.is_issued(secret(), now)


def test_the_operator_keeps_no_authority_and_no_server_secret_of_what_others_issue() -> None:
    certificates = cert_manager.issued(secret(), secret("client", pair=leaf(Usage.CLIENT)), NOW)

    assert [written["metadata"]["name"] for written in secrets(BUILDER, certificates)] == ["demo-connection"]
    assert certificates.trust == AUTHORITY.certificate
    kinds = [child["kind"] for child in children_of(BUILDER, certificates)]
    assert kinds.count("Secret") == 1
    assert kinds[-1] == "Deployment"


def test_a_certificate_that_is_renewed_restarts_no_daemon() -> None:
    first, second = (cert_manager.issued(secret(), secret("client", pair=leaf(Usage.CLIENT)), NOW) for _ in range(2))

    assert first.client != second.client
    workloads = [children_of(BUILDER, certificates)[-1] for certificates in (first, second)]
    assert workloads[0] == workloads[1]


@pytest.mark.parametrize("ca", [b"", b"nonsense"])
def test_an_issuer_that_names_no_authority_will_not_do(ca: bytes) -> None:
    with pytest.raises(TerminalError) as refused:
        cert_manager.issued(secret(ca=ca), secret("client"), NOW)

    assert refused.value.reason == Reason.ISSUER_UNSUITABLE


def test_cert_managers_words_are_quoted() -> None:
    said = {"status": {"conditions": [{"type": "Issuing", "message": "x"}, {"type": "Ready", "message": "No issuer."}]}}

    assert cert_manager.why_not_issued(said, "demo").endswith("cert-manager says: No issuer.")
    assert "has not said anything" in cert_manager.why_not_issued(None, "demo")
    assert "has not said anything" in cert_manager.why_not_issued({"status": {}}, "demo")
