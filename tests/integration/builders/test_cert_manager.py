"""Certificates that cert-manager issues: ordered, waited for, used, renewed, and taken back."""

import time
from pathlib import Path
from typing import Any, Final

import pytest

from buildkit_operator.desired import cert_manager as pauses
from buildkit_operator.kube.resources import Manifest
from hack.cluster import artifacts
from hack.cluster.controlplane import ControlPlane
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.cert_manager import CertManager, make_authority
from tests.integration.builders.conftest import StartOperator

SERVER: Final = "demo-buildkitd-tls"
CLIENT: Final = "demo-buildkitd-client-tls"
BY_ISSUER: Final[Manifest] = {"tls": {"mode": "CertManager", "issuerRef": {"name": "builds"}}}
RENEWAL_SECONDS: Final = pauses.SECRETS_PAUSE.total_seconds() + 20


@pytest.fixture(scope="session")
def definitions(control_plane: ControlPlane) -> None:
    """Let the shared API server know cert-manager's resources."""
    folder: Path = artifacts.ensure("files:cert-manager")["files:cert-manager"]
    control_plane.apply_crds(folder / "cert-manager.io_certificates.yaml")


@pytest.fixture
def cert_manager(builders: Builders, definitions: None) -> CertManager:  # noqa: ARG001  before builders ask for them
    return CertManager(builders)


def issue_both(cert_manager: CertManager) -> None:
    cert_manager.issue(SERVER)
    cert_manager.issue(CLIENT)


def config_hash(builders: Builders) -> str:
    annotations = builders.deployment()["spec"]["template"]["metadata"]["annotations"]
    return str(annotations["buildkit-operator.dev/config-hash"])


def test_two_certificates_are_ordered(cert_manager: CertManager, builders: Builders) -> None:
    uid = builders.create(shared=BY_ISSUER)["metadata"]["uid"]

    server = cert_manager.wait_for_request(SERVER)
    client = cert_manager.wait_for_request(CLIENT)
    for request in (server, client):
        assert request["metadata"]["ownerReferences"][0]["uid"] == uid
        assert request["spec"]["secretName"] == request["metadata"]["name"]
        assert request["spec"]["issuerRef"] == {"name": "builds", "kind": "Issuer", "group": "cert-manager.io"}
        assert request["spec"]["privateKey"] == {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"}
        assert request["spec"]["secretTemplate"]["labels"]["buildkit-operator.dev/owner"] == "demo"
    assert f"*.demo-buildkitd-headless.{builders.namespace}.svc.cluster.local" in server["spec"]["dnsNames"]
    assert (server["spec"]["usages"], client["spec"]["usages"]) == (
        ["digital signature", "server auth"],
        ["digital signature", "client auth"],
    )


def test_a_builder_waits_and_says_what_for_in_cert_managers_words(
    cert_manager: CertManager, builders: Builders
) -> None:
    builders.create(shared=BY_ISSUER)

    ready = builders.wait_reason("CertificatePending")
    assert ready["status"] == "False"
    assert builders.condition("Reconciling")["status"] == "True"
    assert builders.children() == {}

    cert_manager.say(SERVER, "False", "Issuing certificate as Secret does not exist")
    builders.wait(
        "the message", lambda: "Issuing certificate as Secret" in builders.wait_reason("CertificatePending")["message"]
    )
    builders.wait("one event", builders.events)
    assert builders.events() == [("Normal", "CertificatePending")]


def test_what_was_issued_is_used(cert_manager: CertManager, builders: Builders) -> None:
    builders.create(shared=BY_ISSUER)
    issue_both(cert_manager)

    builders.make_ready()
    connection, issued = builders.secret("demo-connection"), builders.secret(CLIENT)
    assert {key: connection[key] for key in issued} == issued
    assert connection["BUILDKIT_HOST"].startswith("tcp://demo-buildkitd.")
    volumes = builders.deployment()["spec"]["template"]["spec"]["volumes"]
    assert SERVER in [volume.get("secret", {}).get("secretName") for volume in volumes]
    assert builders.get("secrets", "demo-buildkitd-ca") is None
    assert builders.status()["certificateNotAfterTime"]
    # They go with the builder, though cert-manager leaves its Secrets behind.
    for name in (SERVER, CLIENT):
        found = builders.get("secrets", name)
        assert found is not None
        assert found["metadata"]["ownerReferences"][0]["kind"] == "BuildKitBuilder"


def test_at_rest_nothing_is_written(cert_manager: CertManager, builders: Builders) -> None:
    builders.create(shared=BY_ISSUER)
    issue_both(cert_manager)
    builders.make_ready()
    builders.edit(daemon={"logLevel": "debug"})
    builders.make_ready()
    mark = builders.control_plane.mark()

    # A change of the workload's status has the builder looked at again.
    builders.play_controller(readyReplicas=0, availableReplicas=0)
    builders.wait("news", lambda: builders.status()["readyReplicas"] == 0)
    builders.play_controller()
    builders.make_ready()

    written = {request.resource for request in builders.writes(mark)}
    assert written <= {"buildkitbuilders"}


def test_a_renewed_certificate_rolls_no_daemon(cert_manager: CertManager, builders: Builders) -> None:
    builders.create(shared=BY_ISSUER)
    issue_both(cert_manager)
    builders.make_ready()
    before = builders.deployment()["spec"]["template"]

    cert_manager.issue(CLIENT)
    renewed = builders.secret(CLIENT)["tls.crt"]
    builders.wait(
        "the client's renewal", lambda: builders.secret("demo-connection")["tls.crt"] == renewed, RENEWAL_SECONDS
    )
    first = builders.status()["certificateNotAfterTime"]
    # What is issued in the same second ends in the same one.
    time.sleep(1)
    cert_manager.issue(SERVER)
    builders.wait(
        "the server's renewal", lambda: builders.status()["certificateNotAfterTime"] != first, RENEWAL_SECONDS
    )
    assert builders.deployment()["spec"]["template"] == before


def test_both_authorities_are_trusted_while_the_issuer_changes(cert_manager: CertManager, builders: Builders) -> None:
    builders.create(shared=BY_ISSUER)
    cert_manager.issue(SERVER)
    first = cert_manager.authority
    cert_manager.authority = make_authority()
    cert_manager.issue(CLIENT)

    builders.make_ready()
    trusted = builders.secret("demo-connection")["ca.crt"]
    assert trusted == (first.certificate + cert_manager.authority.certificate).decode()


@pytest.mark.parametrize("mode", ["SelfSigned", "Disabled"])
def test_another_mode_takes_the_certificates_back(cert_manager: CertManager, builders: Builders, mode: str) -> None:
    builders.create(shared=BY_ISSUER)
    issue_both(cert_manager)
    builders.make_ready()

    builders.edit(shared={"tls": {"mode": mode, "issuerRef": None}})

    builders.wait("no Certificates", lambda: not cert_manager.request(SERVER) and not cert_manager.request(CLIENT))
    builders.wait("no Secret for them", lambda: builders.get("secrets", CLIENT) is None)
    builders.make_ready()
    assert builders.secret("demo-connection").get("tls.crt") != cert_manager.authority.certificate.decode()
    assert (builders.get("secrets", SERVER) is not None) == (mode == "SelfSigned")
    assert (builders.get("secrets", "demo-buildkitd-ca") is not None) == (mode == "SelfSigned")


def test_a_builder_turns_to_cert_manager(cert_manager: CertManager, builders: Builders) -> None:
    builders.create()
    builders.make_ready()
    before = config_hash(builders)

    builders.edit(shared=BY_ISSUER)
    builders.wait_reason("CertificatePending")
    # Until then the daemon goes on as it was.
    assert config_hash(builders) == before

    issue_both(cert_manager)
    builders.wait("the new certificate", lambda: config_hash(builders) != before)
    builders.make_ready()
    assert builders.secret("demo-connection")["ca.crt"] == cert_manager.authority.certificate.decode()
    assert builders.get("secrets", "demo-buildkitd-ca") is None


def test_an_issuer_that_gives_no_authority_will_not_do(cert_manager: CertManager, builders: Builders) -> None:
    builders.create(shared=BY_ISSUER)
    cert_manager.issue(SERVER, **{"ca.crt": b""})
    cert_manager.issue(CLIENT, **{"ca.crt": b""})

    message = builders.wait_reason("IssuerUnsuitable")["message"]
    assert SERVER in message
    assert builders.condition("Stalled")["status"] == "True"


def test_somebody_elses_secret_is_not_given_to_cert_manager(cert_manager: CertManager, builders: Builders) -> None:
    builders.create_secret(SERVER)
    builders.create(shared=BY_ISSUER)

    assert SERVER in builders.wait_reason("NameConflict")["message"]
    assert not cert_manager.request(SERVER)


def test_what_the_administrator_has_not_allowed_is_not_ordered(cert_manager: CertManager, builders: Builders) -> None:
    issuer = {"kind": "ClusterIssuer", "name": "corporate"}
    builders.create(shared={"tls": {"mode": "CertManager", "issuerRef": issuer, "dnsNames": ["*.corp.example"]}})

    message = builders.wait_reason("CertificateNotAllowed")["message"]
    assert "issuerRef names ClusterIssuer/corporate, by which the operator may order no certificates" in message
    assert builders.condition("Stalled")["status"] == "True"
    builders.edit(shared={"tls": {"issuerRef": {"kind": "Issuer"}}})
    builders.wait("the names", lambda: "*.corp.example" in builders.wait_reason("CertificateNotAllowed")["message"])
    assert not cert_manager.request(SERVER)
    assert not cert_manager.request(CLIENT)

    builders.edit(shared={"tls": {"dnsNames": None}})
    assert "*.corp.example" not in cert_manager.wait_for_request(SERVER)["spec"]["dnsNames"]


def test_what_is_not_allowed_any_more_is_renewed_no_more_and_works_to_its_end(
    cert_manager: CertManager, builders: Builders
) -> None:
    builders.create(shared=BY_ISSUER)
    issue_both(cert_manager)
    builders.make_ready()
    before = config_hash(builders)

    builders.edit(shared={"tls": {"issuerRef": {"kind": "ClusterIssuer"}}})

    builders.wait_reason("CertificateNotAllowed")
    builders.wait("no Certificates", lambda: not cert_manager.request(SERVER) and not cert_manager.request(CLIENT))
    assert builders.get("secrets", SERVER) is not None
    assert builders.get("secrets", CLIENT) is not None
    assert config_hash(builders) == before


def test_what_the_administrator_allows_is_ordered(start_control_plane: Any, start_operator: StartOperator) -> None:
    control_plane = start_control_plane()
    folder: Path = artifacts.ensure("files:cert-manager")["files:cert-manager"]
    control_plane.apply_crds(folder / "cert-manager.io_certificates.yaml")
    allowed = {"certificate_issuers": "ClusterIssuer/corporate", "certificate_dns_names": "*.ci.example.com"}
    start_operator(control_plane, **allowed)
    builders = Builders(control_plane, "default")
    issuer = {"kind": "ClusterIssuer", "name": "corporate"}
    names = ["builds.ci.example.com", "*.ci.example.com"]
    builders.create(shared={"tls": {"mode": "CertManager", "issuerRef": issuer, "dnsNames": names}})

    ordered = CertManager(builders).wait_for_request(SERVER)["spec"]
    assert ordered["issuerRef"] == {**issuer, "group": "cert-manager.io"}
    assert set(names) <= set(ordered["dnsNames"])


def test_a_cluster_without_cert_manager(start_control_plane: Any, start_operator: StartOperator) -> None:
    control_plane = start_control_plane()
    start_operator(control_plane)
    builders = Builders(control_plane, "default")
    builders.create(shared=BY_ISSUER)

    message = builders.wait_reason("CertManagerNotFound")["message"]
    assert "install cert-manager" in message

    builders.edit(shared=None)
    builders.make_ready()


def test_going_without_tls_is_said_whatever_else_is_the_matter(builders: Builders) -> None:
    builders.create(shared={"tls": {"mode": "Disabled"}})
    builders.wait_reason("Progressing")
    assert builders.condition("Insecure")["reason"] == "TLSDisabled"

    builders.make_ready()
    assert builders.condition("Insecure")["status"] == "True"

    builders.edit(daemon={"toml": "no toml"})
    builders.wait_reason("InvalidToml")
    assert builders.condition("Insecure")["status"] == "True"

    builders.edit(shared=None, daemon=None)
    builders.make_ready()
    assert builders.condition("Insecure") == {}
