"""The kind node's image, made where it cannot be pulled: Debian packages, kind's own files, Kubernetes' programs."""

import json
import subprocess
from pathlib import Path

from tests.cluster import archive, artifacts, images, kind, layers, pins, progress
from tests.cluster.docker import Docker


def local_archive() -> Path:
    """Return the folder of images.tar and ids.json of the node image."""
    parts = artifacts.ensure("kube", "containerd", "runc", "cni", "crictl", "files:kind", "coredns", "pause")
    parts["files"] = parts.pop("files:kind")
    system = [layers.base()]
    system.append(layers.layer("node", images.SCRIPTS / "node.sh", system, parts))
    preloaded = layers.layer(
        "node-images",
        images.SCRIPTS / "preload.sh",
        system,
        {"kubeadm": _kubeadm_images(system, parts), "published": images.local_archive()},
    )
    return images.write(
        "node",
        [
            archive.Image(
                [kind.LOCAL_IMAGE],
                [*system, preloaded],
                {
                    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "container=docker"],
                    "Entrypoint": ["/usr/local/bin/entrypoint", "/sbin/init"],
                    "StopSignal": "SIGRTMIN+3",
                },
            )
        ],
    )


def _kubeadm_images(system: list[Path], parts: dict[str, Path]) -> Path:
    trees = layers.layer("kubeadm", images.SCRIPTS / "kubeadm.sh", system, parts) / "images"
    kube = {"Env": ["PATH=/usr/local/bin:/usr/sbin"]}
    made = {"kube": kube, "coredns": {"Entrypoint": ["/coredns"]}, "pause": {"Entrypoint": ["/pause"]}}
    names: dict[str, list[str]] = {name: [] for name in made}
    for name in _wanted_names(parts):
        names[next((part for part in ("coredns", "pause") if part in name), "kube")].append(name)
    return images.write(
        "kubeadm", [archive.Image(names[part], [trees / part], config) for part, config in made.items()]
    )


def _wanted_names(parts: dict[str, Path]) -> list[str]:
    """Return the names by which kubeadm and the node's containerd will ask for images."""
    version = f"--kubernetes-version=v{pins.KUBERNETES}"
    command: list[str | Path] = [parts["kube"] / "kubeadm", "config", "images", "list", version]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    for line in (parts["files"] / "etc/containerd/config.toml").read_text().splitlines():
        key, _, value = line.partition("=")
        if key.strip() in {"sandbox_image", "sandbox"}:
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
