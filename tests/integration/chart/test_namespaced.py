"""A release for some namespaces: its processes really work with the rights, names and settings that the chart gives."""

import urllib.error
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Final

import pytest
import yaml

from buildkit_operator.kube.resources import Manifest
from buildkit_operator.settings import PREFIX
from hack.cluster.controlplane import ControlPlane
from hack.cluster.kubectl import wait_for
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.builder_operator import BuilderOperator
from tests.integration.conftest import CRDS
from tests.integration.webhook.webhook_process import WebhookProcess
from tests.support.helm import Helm, named, workloads

RELEASE: Final = {"release": "ci", "namespace": "tools"}
VALUES: Final[Manifest] = {
    "watchNamespaces": ["team-a", "team-b"],
    "injection": {"engine": "Webhook"},
    "crds": {"enabled": False},
}


@pytest.fixture(scope="module")
def server() -> Iterator[ControlPlane]:
    """Return an API server with namespaces of teams, of which one is not served."""
    with ControlPlane() as control_plane:
        control_plane.apply_crds(CRDS)
        for name in ("tools", "team-a", "team-b", "team-c"):
            control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        yield control_plane


@pytest.fixture(scope="module")
def rendered(helm: Helm, server: ControlPlane) -> list[Manifest]:
    """Return what the release consists of, once all of it is in the API server."""
    manifests = helm.manifests(VALUES, **RELEASE)
    server.kubectl("apply", "--server-side", "--filename=-", text=yaml.safe_dump_all(manifests))
    return manifests


def settings(template: Manifest) -> dict[str, str]:
    """Return the settings that the chart gives a pod's process, by their names."""
    (container,) = template["spec"]["containers"]
    given = {item["name"]: item["value"] for item in container["env"] if item["name"].startswith(PREFIX)}
    return {name.removeprefix(PREFIX).lower(): value for name, value in given.items()}


def account(server: ControlPlane, template: Manifest) -> Path:
    """Return a kubeconfig with the rights of a pod."""
    return server.service_account_kubeconfig("tools", template["spec"]["serviceAccountName"])


def test_the_operator_serves_its_namespaces_and_no_other(
    server: ControlPlane, rendered: list[Manifest], tmp_path: Path
) -> None:
    template = workloads(rendered)["operator"]
    provider, consumer, other = (Builders(server, name) for name in ("team-a", "team-b", "team-c"))
    admitted = {"selector": {"matchLabels": {"kubernetes.io/metadata.name": "team-b"}}}
    mark = server.mark()
    # A pod reads its namespace from a file that kubelet mounts.
    here = {"lease_namespace": "tools", "lease": True}
    operator = BuilderOperator(account(server, template), tmp_path / "log", **settings(template), **here)
    try:
        operator.wait_ready()
        provider.create(shared={"allowedNamespaces": admitted})
        consumer.create(shared={"from": {"namespace": "team-a", "name": "demo"}})
        other.create()

        provider.make_ready()
        wait_for("the consumer is ready", lambda: consumer.condition()["status"] == "True")
    finally:
        operator.kill()

    assert other.children() == {}
    assert other.status() == {"observedGeneration": -1}
    user = f"system:serviceaccount:tools:{template['spec']['serviceAccountName']}"
    asked = [request for request in server.audit(mark) if request.user == user]
    assert {request.code for request in asked} & {401, 403} == set()
    assert {request.name for request in asked if request.resource == "namespaces"} == {"team-b"}
    assert {request.namespace for request in asked if request.resource == "leases"} == {"tools"}
    assert {request.name for request in asked if request.resource == "leases"} - {""} == {"ci-buildkit-operator"}


def test_the_webhook_keeps_its_certificate_and_knows_its_namespaces_builders(
    server: ControlPlane, rendered: list[Manifest], tmp_path: Path
) -> None:
    template = workloads(rendered)["webhook"]
    webhook = WebhookProcess(
        account(server, template), tmp_path / "log", **{**settings(template), "webhook_namespace": "tools"}
    )
    try:
        webhook.wait_ready()
    finally:
        webhook.kill()

    configuration = server.request(
        "GET",
        "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/buildkit-operator-tools-ci-webhook",
    )
    assert configuration["metadata"]["name"] == settings(template)["webhook_name"]
    assert all(part["clientConfig"]["caBundle"] for part in configuration["webhooks"])


@pytest.mark.parametrize("process", ["operator", "webhook"])
def test_no_account_has_a_right_elsewhere(server: ControlPlane, rendered: list[Manifest], process: str) -> None:
    kubeconfig = yaml.safe_load(account(server, workloads(rendered)[process]).read_text())
    token = kubeconfig["users"][0]["user"]["token"]

    def may(path: str) -> bool:
        try:
            server.request("GET", path, token=token)
        except urllib.error.HTTPError as refused:
            return refused.code != HTTPStatus.FORBIDDEN
        return True

    group = "/apis/buildkit-operator.dev/v1alpha1"
    assert may(f"{group}/namespaces/team-a/buildkitbuilders")
    assert may(f"{group}/namespaces/team-b/buildkitbuilders")
    assert not may(f"{group}/namespaces/team-c/buildkitbuilders")
    assert not may(f"{group}/buildkitbuilders")
    assert not may("/api/v1/namespaces/team-a/secrets")
    assert not may("/api/v1/namespaces/team-c/secrets/any")
    assert not may("/api/v1/namespaces/tools/secrets/any")
    assert not may("/api/v1/namespaces")
    assert may("/api/v1/namespaces/team-a") == (process == "operator")
    assert not may("/api/v1/namespaces/team-c")


def test_the_webhook_configuration_is_for_these_namespaces(rendered: list[Manifest]) -> None:
    configuration = named(rendered, "MutatingWebhookConfiguration", "buildkit-operator-tools-ci-webhook")

    for webhook in configuration["webhooks"]:
        only = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["team-a", "team-b"]}
        assert only in webhook["namespaceSelector"]["matchExpressions"]
