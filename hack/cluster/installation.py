"""Installing the operator of this checkout in a cluster, with what builds need: for demo, tests and benchmarks."""

import base64
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hack.cluster import cluster, current, images, pins
from hack.cluster.docker import Docker
from hack.cluster.kubectl import Kubectl
from hack.cluster.problems import ClusterError
from hack.cluster.progress import step

OPERATOR: Final = "buildkit-operator"
REGISTRY: Final = "registry.registry.svc:5000"
"""The cluster's registry, as pods know it."""
WEBHOOK: Final = "buildkit-operator-webhook"
KUSTOMIZE: Final = "--kustomize=deploy/kustomize"


def install() -> Kubectl:
    """Bring the cluster up if it is not, run the operator of this checkout in it, and return kubectl for it.

    Raises ClusterError where the cluster is the user's and nobody says from where it can pull the operator.
    """
    image = operator_image()
    up = cluster.up()
    kubectl = Kubectl(up.bin / "kubectl", up.kubeconfig)
    if up.docker is not None:
        up.load(pins.OPERATOR_IMAGE)
        _fill_registry(up.docker, up.bin / "crane", kubectl)
    run_operator(kubectl, image)
    return kubectl


def run_operator(kubectl: Kubectl, image: str) -> None:
    """Run the operator with this image, and wait until it does."""
    with step("Installing the operator", "The operator runs"):
        kubectl("apply", "--server-side", "--force-conflicts", f"{KUSTOMIZE}/base")
        if has_policies(kubectl):
            install_policies(kubectl)
        else:
            install_webhook(kubectl, image)
        operator = kubectl.within(OPERATOR)
        operator("set", "image", f"deployment/{OPERATOR}", f"operator={image}")
        operator("set", "env", f"deployment/{OPERATOR}", *images_by_tag())
        # The tag is the same for each build of one version, so a new build needs new pods.
        operator("rollout", "restart", f"deployment/{OPERATOR}")
        operator("rollout", "status", f"deployment/{OPERATOR}", "--timeout=120s", timeout=130)


def images_by_tag() -> list[str]:
    """Return the operator's settings by which pods run images that were made here, whose digests are their own."""
    return [
        f"BUILDKIT_OPERATOR_BUILDKIT_IMAGE={pins.BUILDKIT_IMAGE}",
        f"BUILDKIT_OPERATOR_CONNECTOR_IMAGE={pins.HAPROXY_IMAGE}",
    ]


def has_policies(kubectl: Kubectl) -> bool:
    """Tell whether the API server has mutating admission policies: from Kubernetes 1.36 on."""
    return "mutatingadmissionpolicies" in kubectl(
        "api-resources", "--api-group=admissionregistration.k8s.io", "--output=name"
    )


def install_policies(kubectl: Kubectl) -> None:
    """Have the API server itself inject."""
    kubectl("apply", "--server-side", "--force-conflicts", f"{KUSTOMIZE}/components/policies")


def install_webhook(kubectl: Kubectl, image: str) -> None:
    """Have the webhook inject, with the operator's image, and wait until it can."""
    kubectl("apply", "--server-side", "--force-conflicts", f"{KUSTOMIZE}/components/webhook")
    webhook = kubectl.within(OPERATOR)
    webhook("set", "image", f"deployment/{WEBHOOK}", f"webhook={image}")
    webhook("rollout", "status", f"deployment/{WEBHOOK}", "--timeout=120s", timeout=130)


def remove_policies(kubectl: Kubectl) -> None:
    """Have the API server itself inject no more."""
    kubectl("delete", "--ignore-not-found", f"{KUSTOMIZE}/components/policies")


def remove_webhook(kubectl: Kubectl) -> None:
    """Have the webhook inject no more. Its configuration goes first: without what is behind it, it refuses pods."""
    kubectl("delete", "--ignore-not-found", "mutatingwebhookconfiguration", WEBHOOK)
    kubectl("delete", "--ignore-not-found", f"{KUSTOMIZE}/components/webhook")


def operator_image() -> str:
    """Return the operator's image: the one that is built and loaded here, or what the user's cluster can pull."""
    if not current.chosen():
        return pins.OPERATOR_IMAGE
    image = os.environ.get("OPERATOR_IMAGE")
    if image is None:
        raise ClusterError(
            "CLUSTER=current needs OPERATOR_IMAGE, which your cluster must be able to pull: "
            "build it with docker build -f deploy/Dockerfile -t IMAGE . and push it. Nothing was done."
        )
    return image


def kill_operator(kubectl: Kubectl) -> None:
    """Kill the operator's pods as a node that loses power does, without a chance to finish anything."""
    operator = kubectl.within(OPERATOR)
    operator("delete", "pod", f"--selector=app.kubernetes.io/name={OPERATOR}", "--grace-period=0", "--force")


def uninstall(kubectl: Kubectl) -> None:
    """Remove the operator with its resources, and by that every builder, from a cluster that stays."""
    with step("Removing the operator", "Removed the operator"):
        if has_policies(kubectl):
            remove_policies(kubectl)
        else:
            remove_webhook(kubectl)
        kubectl("delete", "--ignore-not-found", f"{KUSTOMIZE}/base", timeout=180)


@contextmanager
def running_cluster() -> Iterator[Kubectl]:
    """Have the cluster with the operator up within the block; what was not there before is removed afterwards."""
    was_up = cluster.find() is not None
    try:
        kubectl = install()
        yield kubectl
        if current.chosen() and not was_up:
            uninstall(kubectl)
    finally:
        if not was_up:
            cluster.down()


@contextmanager
def connection_files(team: Kubectl, secret: str) -> Iterator[Path]:
    """Yield a folder with a connection Secret's certificates, as `buildctl --tlsdir` takes it."""
    with tempfile.TemporaryDirectory() as folder:
        for name, value in team.get("secret", secret)["data"].items():
            file = Path(folder) / name
            file.touch(mode=0o600)
            file.write_bytes(base64.b64decode(value))
        yield Path(folder)


def tags(kubectl: Kubectl, repository: str) -> list[str]:
    """Return the tags that the cluster's registry has of a repository, through the API server's proxy."""
    service = "/api/v1/namespaces/registry/services/registry:5000/proxy"
    answer = json.loads(kubectl.read(f"{service}/v2/{repository}/tags/list"))
    return sorted(answer["tags"] or [])


def _fill_registry(docker: Docker, crane: Path, kubectl: Kubectl) -> None:
    """Put what images are built on into the registry, which stands in for docker.io there."""
    with (
        step("Filling the registry", "The registry has the base images of builds"),
        tempfile.TemporaryDirectory() as scratch,
        kubectl.within("registry").port_forward("service/registry", 5000) as port,
    ):
        archive = Path(scratch) / "image.tar"
        for base in images.BASES:
            docker("save", f"--output={archive}", base)
            target = f"localhost:{port}/{base.removeprefix('docker.io/')}"
            push = [str(crane), "push", "--insecure", str(archive), target]
            subprocess.run(push, capture_output=True, check=True, env={**os.environ, "NO_PROXY": "localhost"})
