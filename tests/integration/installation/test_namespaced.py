"""The operator and the webhook with Roles alone: they do all their work, and are refused nothing."""

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Final

import pytest

from buildkit_operator.api.names import OWNER_LABEL
from hack.cluster import artifacts
from hack.cluster.audit import Request
from hack.cluster.controlplane import ControlPlane
from hack.cluster.kubectl import wait_for
from hack.generate import kustomize
from hack.generate.paths import KUSTOMIZE
from tests.integration.builders import test_claims as claims
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.builder_operator import BuilderOperator
from tests.integration.builders.cert_manager import CertManager
from tests.integration.builders.test_autoscaling import cost, front
from tests.integration.builders.test_cert_manager import BY_ISSUER, CLIENT, SERVER
from tests.integration.conftest import CRDS
from tests.integration.installation.conftest import NAMESPACE, WATCHED, Compose, create_namespaces, install
from tests.integration.service_process import ServiceProcess
from tests.integration.webhook.webhook_process import WebhookProcess

OVERLAY: Final = KUSTOMIZE / "overlays" / "namespaced"
ACCOUNT: Final = "buildkit-operator"
CERTIFICATES: Final = "cert-manager.io_certificates.yaml"
OWN: Final[dict[str, object]] = {"lease": True, "lease_namespace": NAMESPACE}
"""What a pod of that namespace knows by itself."""


@pytest.fixture(scope="module")
def policies() -> Iterator[ControlPlane]:
    """Start an API server with the overlay as it is in the checkout, and with cert-manager's Certificates."""
    with ControlPlane() as control_plane:
        folder = artifacts.ensure("files:cert-manager")["files:cert-manager"]
        control_plane.kubectl("apply", "--server-side", f"--filename={folder / CERTIFICATES}")
        control_plane.apply_crds(CRDS)
        create_namespaces(control_plane)
        control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": "elsewhere"}})
        install(control_plane, OVERLAY)
        yield control_plane


@pytest.fixture(scope="module")
def operator(policies: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuilderOperator]:
    """Start the operator with the rights and the setting of its Deployment."""
    kubeconfig = policies.service_account_kubeconfig(NAMESPACE, ACCOUNT)
    log = tmp_path_factory.mktemp("operator") / "log"
    watched = setting(OVERLAY, ACCOUNT)
    process = BuilderOperator(kubeconfig, log, watch_namespaces=watched, log_level="debug", **OWN)
    try:
        process.wait_ready()
        yield process
    finally:
        process.kill()


def setting(overlay: Path, deployment: str) -> str:
    """Return the namespaces that a Deployment of an overlay is told to watch."""
    (found,) = (
        manifest
        for manifest in kustomize.manifests(overlay)
        if manifest["kind"] == "Deployment" and manifest["metadata"]["name"] == deployment
    )
    (container,) = found["spec"]["template"]["spec"]["containers"]
    return str(next(v["value"] for v in container["env"] if v["name"] == "BUILDKIT_OPERATOR_WATCH_NAMESPACES"))


def requests(control_plane: ControlPlane, account: str) -> list[Request]:
    user = f"system:serviceaccount:{NAMESPACE}:{account}"
    return [request for request in control_plane.audit() if request.user == user]


def refused(control_plane: ControlPlane, account: str) -> list[Request]:
    return [request for request in requests(control_plane, account) if request.code in {401, 403}]


def assert_content(control_plane: ControlPlane, account: str, process: ServiceProcess) -> None:
    """Check that a process has asked for something, that nothing was refused, and that its log knows of no refusal."""
    assert requests(control_plane, account)
    assert refused(control_plane, account) == []
    assert "forbidden" not in process.log.read_text().lower()


def test_builders_of_all_kinds_live_and_no_right_is_missing_or_left_over(
    policies: ControlPlane, operator: BuilderOperator
) -> None:
    a, b = (Builders(policies, namespace) for namespace in WATCHED)
    make_shared_ones(a, allowed=b)
    take_a_daemon_away(a)
    make_others(b, provider=a)
    grow_a_claim(b)
    lose_labels(a)
    for name in ("demo", "claims", "certificates"):
        a.edit(name, mode="Sidecar", shared=None, cache=None)
        a.wait_reason("Available", name)
    a.wait("the daemons' objects are gone", lambda: {c.split("/")[0] for c in a.children()} == {"configmaps"})

    assert_content(policies, ACCOUNT, operator)
    # No request: a policy asks for the one, and OpenShift for the other, where blockOwnerDeletion needs it.
    asked_for = {("buildkitbuilders/daemons", "create"), ("buildkitbuilders/finalizers", "update")}
    assert granted() - used(policies) == asked_for


def make_shared_ones(builders: Builders, allowed: Builders) -> None:
    """Have a builder with each kind of children."""
    admitted = {"names": [allowed.namespace]}
    builders.create(shared={"networkPolicy": {"from": [{"podSelector": {}}]}, "allowedNamespaces": admitted})
    builders.make_ready()
    builders.create("claims", cache={"size": "1Gi", "persistentVolumeClaim": {}})
    builders.make_ready("claims", "statefulsets")
    builders.create("certificates", shared=BY_ISSUER)
    cert_manager = CertManager(builders)
    for request in (SERVER, CLIENT):
        cert_manager.issue(request.replace("demo", "certificates"))
    builders.make_ready("certificates")


def take_a_daemon_away(builders: Builders) -> None:
    """Have a busy daemon's pod be given what it costs to take it away."""
    builders.edit(shared={"replicas": 2})
    builders.make_ready()
    with front(builders, "busy", builds=1):
        builders.edit(shared={"replicas": 1})
        builders.wait("it is given", lambda: cost(builders, "busy") == "1")
    builders.delete("pods", "busy")
    builders.make_ready()


def make_others(builders: Builders, provider: Builders) -> None:
    """Have builders without daemons of their own, and one that looks for a claim."""
    builders.create("pods", mode="Sidecar")
    builders.wait_reason("Available", "pods")
    builders.create("cached", mode="Sidecar", injection={"localCache": {"claimName": "missing"}})
    builders.wait_reason("ClaimNotFound", "cached")
    builders.create("borrower", shared={"from": {"namespace": provider.namespace, "name": "demo"}})
    builders.wait_reason("Available", "borrower")


def grow_a_claim(builders: Builders) -> None:
    claims.create(builders, claims.storage_class(builders.control_plane, allowVolumeExpansion=True), "20Gi")
    name = claims.make_claim(builders, 0)
    claims.bind(builders, name, "20Gi")
    builders.edit(cache={"size": "50Gi"})
    builders.wait("the claim asks for more", lambda: claims.requested(builders, name) == "50Gi")


def lose_labels(builders: Builders) -> None:
    """Take the label away by which the operator sees its objects: it finds them by name, and mends them."""
    watched = {child for child in builders.children() if not child.startswith("secrets/")}
    for child in watched:
        builders.kubectl("label", child, f"{OWNER_LABEL}-")
    builders.wait("the labels are back", lambda: watched <= set(builders.children()))


def granted() -> set[tuple[str, str]]:
    """Return resource and verb of each of the operator's rights."""
    return {
        (resource, verb)
        for manifest in kustomize.manifests(OVERLAY)
        if manifest["kind"] == "Role"
        for rule in manifest["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def used(control_plane: ControlPlane) -> set[tuple[str, str]]:
    """Return those that the operator has made use of; what server-side apply creates needs both."""
    asked = requests(control_plane, ACCOUNT)
    done = {(f"{r.resource}/{r.subresource}".rstrip("/"), r.verb) for r in asked}
    made = {(r.resource, "create") for r in asked if r.verb == "patch" and r.code == HTTPStatus.CREATED}
    return done | made


def test_a_provider_that_is_not_watched_is_a_reason_and_no_refusal(
    policies: ControlPlane, operator: BuilderOperator
) -> None:
    consumer = Builders(policies, WATCHED[1])
    Builders(policies, "elsewhere").create(shared={"allowedNamespaces": {"names": [consumer.namespace]}})
    consumer.create("stranger", shared={"from": {"namespace": "elsewhere", "name": "demo"}})

    consumer.wait_reason("ProviderNotWatched", "stranger")
    assert Builders(policies, "elsewhere").children() == {}
    assert Builders(policies, "elsewhere").status() == {"observedGeneration": -1}
    assert_content(policies, ACCOUNT, operator)


def test_an_operator_for_the_whole_cluster_would_be_refused(policies: ControlPlane, tmp_path: Path) -> None:
    kubeconfig = policies.service_account_kubeconfig(NAMESPACE, ACCOUNT)
    process = BuilderOperator(kubeconfig, tmp_path / "log", **OWN)
    before = len(refused(policies, ACCOUNT))
    try:
        wait_for("a refusal", lambda: len(refused(policies, ACCOUNT)) > before, 20)
        assert process.get("/readyz")[0] == 503
    finally:
        process.kill()


@pytest.fixture(scope="module")
def overlay(compose: Compose) -> Path:
    return compose("webhook", watched=WATCHED)


@pytest.fixture(scope="module")
def webhook(overlay: Path) -> Iterator[ControlPlane]:
    """Start an API server with the webhook for some namespaces."""
    with ControlPlane() as control_plane:
        control_plane.apply_crds(CRDS)
        create_namespaces(control_plane)
        install(control_plane, overlay)
        Builders(control_plane, WATCHED[0]).create()
        yield control_plane


def test_the_webhook_watches_these_namespaces_alone(webhook: ControlPlane, overlay: Path, tmp_path: Path) -> None:
    account = "buildkit-operator-webhook"
    kubeconfig = webhook.service_account_kubeconfig(NAMESPACE, account)
    settings = {"watch_namespaces": setting(overlay, account), "webhook_namespace": NAMESPACE}
    process = WebhookProcess(kubeconfig, tmp_path / "log", **settings)
    try:
        process.wait_ready()
        wait_for("watches", lambda: watched_by(webhook, account) == set(WATCHED), 20)
        assert_content(webhook, account, process)
    finally:
        process.kill()


def watched_by(control_plane: ControlPlane, account: str) -> set[str]:
    """Return the namespaces whose builders an account watches."""
    asked = requests(control_plane, account)
    return {r.namespace for r in asked if r.verb == "watch" and r.resource == "buildkitbuilders"}
