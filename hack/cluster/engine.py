"""The choice of a Docker engine: the user's where it can pull, else a private one, else a sentence why not."""

import os
import shutil
import sys
from dataclasses import dataclass

from hack.cluster import kind, progress
from hack.cluster.docker import Docker, DockerError
from hack.cluster.problems import ClusterError


class NoEngineError(ClusterError):
    """No cluster can be run on this machine; the message says what is missing."""


@dataclass(frozen=True)
class Machine:
    """What decides: the user's Docker engine and why it cannot be used, and whether we may start one of our own."""

    engine_answers: bool
    pull_problem: str | None
    linux: bool
    root: bool


def use_private(machine: Machine) -> bool:
    """Tell whether to start a private engine. Raises NoEngineError where there is neither."""
    if machine.engine_answers and machine.pull_problem is None:
        return False
    if machine.linux and machine.root:
        return True
    if machine.engine_answers:
        problem = f"The Docker engine here cannot pull {kind.UPSTREAM_IMAGE} ({machine.pull_problem})"
    else:
        problem = "No Docker engine answers here"
    remedy = "as root, the cluster would bring its own" if machine.linux else "the cluster needs one that can"
    raise NoEngineError(f"{problem}; {remedy}. CLUSTER=current uses the cluster of your kubeconfig instead.")


def find() -> tuple[Machine, Docker | None]:
    """Look at the machine; return also the user's engine, where it can be used."""
    client = shutil.which("docker")
    linux, root = sys.platform == "linux", os.geteuid() == 0 if hasattr(os, "geteuid") else False
    if client is None:
        return Machine(engine_answers=False, pull_problem=None, linux=linux, root=root), None
    docker = Docker([client])
    try:
        docker("version", "--format={{.Server.Version}}", seconds=10)
    except DockerError:
        return Machine(engine_answers=False, pull_problem=None, linux=linux, root=root), None
    problem = _pull_problem(docker)
    return Machine(engine_answers=True, pull_problem=problem, linux=linux, root=root), docker


def _pull_problem(docker: Docker) -> str | None:
    if docker.image_id(kind.UPSTREAM_IMAGE):
        return None
    try:
        with progress.step("Pulling the kind node's image"):
            docker("pull", "--quiet", kind.UPSTREAM_IMAGE)
    except DockerError as problem:
        return str(problem).splitlines()[-1]
    return None
