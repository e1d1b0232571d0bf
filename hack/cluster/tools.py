"""The folder `.cluster` of the checkout while a cluster is up: its kubeconfig, and programs to look around with."""

import os
from pathlib import Path
from typing import Final

from hack.cluster import artifacts, state
from hack.cluster.docker import Docker

_TOP: Final = Path(__file__).parents[2]
# The artifact each program comes in.
PROGRAMS: Final = {
    "kube": "kubectl",
    "kind": "kind",
    "buildkit": "buildctl",
    "helm": "helm",
    "buildx": "buildx",
    "crane": "crane",
}


def folder(name: str) -> Path:
    """Return where this checkout has a cluster's kubeconfig and `bin`."""
    own = _TOP / ".cluster"
    return own if name == state.DEFAULT_NAME else own / name


def search_path(name: str) -> str:
    """Return $PATH with the programs of a cluster first."""
    return f"{folder(name) / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def write(name: str, kubeconfig: str | None = None, docker: Docker | None = None) -> None:
    """Lay out the programs, `docker` for the engine that runs the cluster, and the kubeconfig if there is one yet."""
    programs = folder(name) / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    for artifact, path in artifacts.ensure(*PROGRAMS).items():
        link = programs / PROGRAMS[artifact]
        link.unlink(missing_ok=True)
        link.symlink_to(path / PROGRAMS[artifact])
    if docker is not None:
        docker.write_script(programs / "docker")
    if kubeconfig is not None:
        # It holds the administrator's key.
        file = folder(name) / "kubeconfig"
        file.touch(mode=0o600)
        file.chmod(0o600)
        file.write_text(kubeconfig)


def remove(name: str) -> None:
    """Remove what is of no use without the cluster; the programs stay."""
    for file in ("kubeconfig", "bin/docker"):
        (folder(name) / file).unlink(missing_ok=True)
