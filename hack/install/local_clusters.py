"""Clusters of this machine, into which an image is loaded without a registry: kind, k3d, minikube and our own."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import yaml

from hack.cluster import cluster, images
from hack.cluster.current import Context
from hack.cluster.docker import Docker, DockerError
from hack.cluster.problems import ClusterError
from hack.cluster.progress import step

_KIND: Final = "kind-"
_K3D: Final = "k3d-"
# How minikube marks the clusters that it writes into a kubeconfig.
_MINIKUBE: Final = "minikube.sigs.k8s.io"


@dataclass(frozen=True)
class LocalCluster:
    """A cluster of this machine: its name for people, the engine that builds for it, and how it gets an image."""

    title: str
    docker: Docker
    load: Callable[[str], None]
    # Made by `make cluster-up`: nobody has to be asked.
    own: bool = False
    # Of the project's own engine, whose images were made here and have digests of their own.
    private: bool = False


def find(context: Context) -> LocalCluster | None:
    """Return the context's cluster, or None where its nodes can only pull.

    Raises ClusterError where it is one of this machine, and what builds or loads an image for it is missing.
    """
    if (ours := cluster.serving(context.server)) is not None and ours.docker is not None:
        load = partial(_load_kind, ours.docker, [ours.node])
        return LocalCluster("the kind cluster of make cluster-up", ours.docker, load, own=True, private=ours.private)
    entry = yaml.safe_load(context.kubeconfig)["clusters"][0]
    name = str(entry["name"])
    if name.startswith(_KIND):
        return _kind(name.removeprefix(_KIND))
    if name.startswith(_K3D):
        short = name.removeprefix(_K3D)
        docker = _engine("k3d", short)
        command = [_program("k3d", short), "image", "import", f"--cluster={short}"]
        return LocalCluster(f"the k3d cluster {short}", docker, partial(_load_by, command, docker))
    if any(_is_minikube(extension) for extension in entry["cluster"].get("extensions") or []):
        docker = _engine("minikube", name)
        command = [_program("minikube", name), f"--profile={name}", "image", "load"]
        return LocalCluster(f"the minikube cluster {name}", docker, partial(_load_by, command, docker))
    return None


def _kind(name: str) -> LocalCluster:
    docker = _engine("kind", name)
    labels = ("--filter=label=io.x-k8s.kind.role", f"--filter=label=io.x-k8s.kind.cluster={name}")
    listed = docker("ps", *labels, '--format={{.Names}} {{.Label "io.x-k8s.kind.role"}}').splitlines()
    # Beside them, kind runs a load balancer for several control planes.
    nodes = [node for node, role in (line.split() for line in listed) if role in {"control-plane", "worker"}]
    if not nodes:
        raise ClusterError(f"The Docker engine here runs no node of the kind cluster {name}. {_BY_IMAGE}")
    return LocalCluster(f"the kind cluster {name}", docker, partial(_load_kind, docker, nodes))


def _load_kind(docker: Docker, nodes: Sequence[str], image: str) -> None:
    for node in nodes:
        images.load(docker, node, image)


def _load_by(command: Sequence[str], docker: Docker, image: str) -> None:
    """Load an image by a command that takes the path of an archive as its last argument. Raises ClusterError."""
    with tempfile.TemporaryDirectory() as scratch, step(f"Loading {image}", f"Loaded {image}"):
        archive = Path(scratch) / "image.tar"
        docker("save", f"--output={archive}", image)
        done = subprocess.run([*command, str(archive)], text=True, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        raise ClusterError(f"{' '.join([Path(command[0]).name, *command[1:]])}: {said}")


def _engine(kind: str, name: str) -> Docker:
    client = shutil.which("docker")
    if client is not None:
        docker = Docker([client])
        try:
            docker("version", "--format={{.Server.Version}}", seconds=10)
        except DockerError as problem:
            said = str(problem).splitlines()[-1]
            raise ClusterError(
                f"The image for the {kind} cluster {name} is built with Docker, which does not answer ({said}). "
                f"{_BY_IMAGE}"
            ) from problem
        return docker
    raise ClusterError(
        f"The image for the {kind} cluster {name} is built with Docker, and there is no docker in PATH. {_BY_IMAGE}"
    )


def _program(kind: str, name: str) -> str:
    program = shutil.which(kind)
    if program is None:
        raise ClusterError(f"The {kind} cluster {name} gets its image by {kind}, which is not in PATH. {_BY_IMAGE}")
    return program


def _is_minikube(extension: dict[str, Any]) -> bool:
    return bool((extension.get("extension") or {}).get("provider") == _MINIKUBE)


_BY_IMAGE: Final = "make install IMAGE=registry/name:tag installs one that the cluster pulls instead. Nothing was done."
