"""Flux installs the operator from what we ship, as the sample tells it to, and then what is built with."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from buildkit_operator.kube.resources import Manifest
from hack.cluster.controlplane import ControlPlane
from hack.cluster.kubectl import wait_for
from hack.generate import published
from hack.generate.paths import KUSTOMIZE
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.builder_operator import BuilderOperator
from tests.integration.builders.flux import (
    KUSTOMIZATIONS,
    Artifacts,
    KustomizeController,
    announce,
    apply_definitions,
    decision,
)
from tests.integration.webhook.installation import CONFIGURATION
from tests.integration.webhook.webhook_process import WebhookProcess

NAMESPACE: Final = "buildkit-operator"
DEPLOYMENTS: Final = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/"
SAMPLES: Final = KUSTOMIZE.parent / "samples" / "gitops"
TREE: Final = {
    f"deploy/kustomize/{file.relative_to(KUSTOMIZE)}": file.read_text()
    for file in KUSTOMIZE.rglob("*")
    if file.is_file()
}
"""What Flux finds in this repository."""


@dataclass(frozen=True)
class Flux:
    """The sample, in force on an API server of its own."""

    control_plane: ControlPlane
    served: Artifacts

    @property
    def _system(self) -> Builders:
        return Builders(self.control_plane, "flux-system")

    def push(self, name: str, files: dict[str, str]) -> str:
        return announce(self._system, name, self.served.put(files))

    def wait_ready(self, name: str, revision: str) -> Manifest:
        return wait_for(f"Flux decides on {name}", lambda: decision(self._system, name, revision), 60)

    def change(self, name: str, spec: Manifest) -> None:
        self._system.patch(KUSTOMIZATIONS, name, {"spec": spec})

    def play_controller(self, name: str) -> None:
        """Say of a Deployment of ours that its pods are up: none ever runs here."""
        found = wait_for(name, lambda: Builders(self.control_plane, NAMESPACE).get("deployments", name))
        counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        reasons = {"Available": "MinimumReplicasAvailable", "Progressing": "NewReplicaSetAvailable"}
        found["status"] = {
            "observedGeneration": found["metadata"]["generation"],
            "conditions": [{"type": kind, "status": "True", "reason": reason} for kind, reason in reasons.items()],
            **dict.fromkeys(counts, found["spec"]["replicas"]),
        }
        self.control_plane.request("PUT", f"{DEPLOYMENTS}{name}/status", found)


@pytest.fixture
def flux(start_bare_control_plane: Callable[[], ControlPlane], tmp_path: Path) -> Iterator[Flux]:
    """Apply the sample to an API server that knows nothing but Flux."""
    control_plane = start_bare_control_plane()
    apply_definitions(control_plane)
    for name in ("flux-system", "ci"):
        control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    controller = KustomizeController(control_plane.kubeconfig, tmp_path / "flux.log")
    try:
        controller.wait_ready()
        control_plane.kubectl("apply", f"--filename={SAMPLES / 'flux.yaml'}")
        with Artifacts() as served:
            yield Flux(control_plane, served)
    finally:
        controller.kill()


@pytest.fixture
def start_bare_control_plane() -> Iterator[Callable[[], ControlPlane]]:
    with ExitStack() as started:
        yield lambda: started.enter_context(ControlPlane())


def test_the_sample_brings_up_the_operator_and_then_the_builders(flux: Flux, tmp_path: Path) -> None:
    builders = flux.push("builders", {"builders/builder.yaml": (SAMPLES / "builder.yaml").read_text()})

    revision = flux.push("buildkit-operator", TREE)
    flux.play_controller("buildkit-operator")
    installed = flux.wait_ready("buildkit-operator", revision)
    kubeconfig = flux.control_plane.service_account_kubeconfig(NAMESPACE, NAMESPACE)
    operator = BuilderOperator(kubeconfig, tmp_path / "operator.log")
    try:
        Builders(flux.control_plane, "ci").make_ready()
        built = flux.wait_ready("builders", builders)
    finally:
        operator.kill()

    assert installed["status"] == built["status"] == "True"
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/buildkitbuilders.buildkit-operator.dev"
    definition = flux.control_plane.request("GET", path)
    assert definition["metadata"]["annotations"]["kustomize.toolkit.fluxcd.io/prune"] == "disabled"
    deployment = flux.control_plane.request("GET", DEPLOYMENTS + NAMESPACE)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    ours = published.setting()
    assert container["image"].startswith(
        f"{ours.image if ours.released else 'registry.example.com/buildkit-operator'}:"
    )


def test_what_the_webhook_writes_into_its_configuration_is_left_there(flux: Flux, tmp_path: Path) -> None:
    flux.change("buildkit-operator", {"path": "./deploy/kustomize/overlays/webhook", "wait": False})
    assert flux.wait_ready("buildkit-operator", flux.push("buildkit-operator", TREE))["status"] == "True"
    kubeconfig = flux.control_plane.service_account_kubeconfig(NAMESPACE, "buildkit-operator-webhook")
    webhook = WebhookProcess(kubeconfig, tmp_path / "webhook.log", webhook_namespace=NAMESPACE)
    try:
        bundles = wait_for("the bundles", lambda: trusted(flux))
    finally:
        webhook.kill()
    before = flux.control_plane.request("GET", CONFIGURATION)

    revision = flux.push("buildkit-operator", {**TREE, "README.md": "changed"})

    assert flux.wait_ready("buildkit-operator", revision)["status"] == "True"
    assert trusted(flux) == bundles
    assert flux.control_plane.request("GET", CONFIGURATION) == before


def trusted(flux: Flux) -> list[str]:
    """Return the bundles of the configuration, none before each of its webhooks has one."""
    clients = [webhook["clientConfig"] for webhook in flux.control_plane.request("GET", CONFIGURATION)["webhooks"]]
    bundles = [client["caBundle"] for client in clients if client.get("caBundle")]
    return bundles if len(bundles) == len(clients) else []
