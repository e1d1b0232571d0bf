"""The kind node's image, made where it cannot be pulled: Debian packages, kind's own files, Kubernetes' programs."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

from hack.cluster import archive, artifacts, images, kind, layers, pins, progress
from hack.cluster.docker import Docker

_CONFIG: Final[dict[str, Any]] = {
    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "container=docker"],
    "Entrypoint": ["/usr/local/bin/entrypoint", "/sbin/init"],
    # How systemd is told to stop.
    "StopSignal": "SIGRTMIN+3",
}
_KUBEADM_CONFIGS: Final[dict[str, dict[str, Any]]] = {
    "kube": {"Env": ["PATH=/usr/local/bin:/usr/sbin"]},
    "coredns": {"Entrypoint": ["/coredns"]},
    "pause": {"Entrypoint": ["/pause"]},
}


def system() -> list[Path]:
    """Return the node's root tree without images, the lowest layer first."""
    base = layers.base()
    return [base, layers.layer("node", images.SCRIPTS / "node.sh", [base], _parts())]


def local_archive() -> Path:
    """Return the folder of images.tar and ids.json of the node image."""
    trees = system()
    archives = {"kubeadm": kubeadm_archive(), "published": images.local_archive()}
    preloaded = layers.layer("node-images", images.SCRIPTS / "preload.sh", trees, archives)
    return images.write("node", [archive.Image([kind.LOCAL_IMAGE], [*trees, preloaded], _CONFIG)])


def kubeadm_archive() -> Path:
    """Return the folder of images.tar and ids.json of the images that kubeadm starts."""
    made = layers.layer("kubeadm", images.SCRIPTS / "kubeadm.sh", system(), _parts()) / "images"
    names: dict[str, list[str]] = {image: [] for image in _KUBEADM_CONFIGS}
    for name in _wanted_names():
        names[next((image for image in ("coredns", "pause") if image in name), "kube")].append(name)
    return images.write(
        "kubeadm",
        [archive.Image(names[image], [made / image], config) for image, config in _KUBEADM_CONFIGS.items()],
    )


def _parts() -> dict[str, Path]:
    parts = artifacts.ensure("kube", "containerd", "runc", "cni", "crictl", "files:kind", "coredns", "pause")
    return {name.partition(":")[0]: folder for name, folder in parts.items()}


def _wanted_names() -> list[str]:
    """Return the names by which kubeadm and the node's containerd will ask for images."""
    parts = _parts()
    version = f"--kubernetes-version=v{pins.KUBERNETES}"
    command: list[str | Path] = [parts["kube"] / "kubeadm", "config", "images", "list", version]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    for line in (parts["files"] / "etc/containerd/config.toml").read_text().splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "sandbox_image":
            names.append(value.strip().strip("'\""))
    return list(dict.fromkeys(names))


def load(docker: Docker) -> None:
    """Load the node image into the engine, unless it has it."""
    archive = local_archive()
    wanted = json.loads((archive / "ids.json").read_text())[kind.LOCAL_IMAGE]
    if docker.image_id(kind.LOCAL_IMAGE) != wanted:
        with progress.step("Loading the node image", "Loaded the node image"):
            docker.load(archive / "images.tar")
            # The one it replaces has lost its name.
            docker("image", "prune", "--force")
