"""A cluster for people at a terminal: an API server, an engine, the operator, and daemons that start."""

import os
import subprocess
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from hack.cluster.controlplane import ControlPlane, program
from tests.integration.builders.builder_namespace import Builders, is_settled
from tests.integration.builders.builder_operator import BuilderOperator
from tests.integration.builders.conftest import apply_policies
from tests.integration.conftest import CRDS
from tests.support.transcript import Terminal

TOP: Final = Path(__file__).parents[3]
NAMESPACE: Final = "ci"
DAEMON_SECONDS: Final = 0.5
"""How long a daemon takes to be ready."""


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builders]:
    """Start it, and return the namespace of the story, which does not exist yet."""
    with ControlPlane(controllers=("garbage-collector-controller",)) as control_plane:
        control_plane.apply_crds(CRDS)
        apply_policies(control_plane)
        operator = BuilderOperator(control_plane.kubeconfig, tmp_path_factory.mktemp("operator") / "log")
        builders = Builders(control_plane, NAMESPACE)
        try:
            operator.wait_ready()
            builders.wait("the schema is published", lambda: _is_explained(builders))
            with _daemons_that_start(builders):
                yield builders
        finally:
            operator.kill()


def _is_explained(builders: Builders) -> bool:
    """Return whether kubectl can read the schema: the API server publishes it some seconds after it serves the kind."""
    try:
        builders.kubectl("explain", "bkb.spec")
    except subprocess.CalledProcessError:
        return False
    return True


@pytest.fixture
def team(cluster: Builders) -> Builders:
    """Return a namespace of that cluster for this test alone; no daemon starts there by itself."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    cluster.control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return Builders(cluster.control_plane, name)


@pytest.fixture
def terminal(cluster: Builders, tmp_path: Path) -> Terminal:
    """Return a terminal with kubectl in its path, for an admin of that cluster."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "kubectl").symlink_to(program("kubectl"))
    home = tmp_path / "home"
    home.mkdir()
    kubeconfig = home / "kubeconfig"
    kubeconfig.write_text(cluster.control_plane.kubeconfig.read_text())
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(home), "KUBECONFIG": str(kubeconfig)}
    return Terminal(home, environment, _stages(cluster))


def _stages(builders: Builders) -> dict[str, Callable[[], None]]:
    def wait_for_one_daemon() -> None:
        builders.wait("ready and at rest", lambda: builders.condition()["message"] == "1 of 1 daemon ready.")

    def scale_to_zero_and_back() -> None:
        builders.kubectl("scale", "bkb/demo", "--replicas=0")
        builders.wait_reason("ScaledToZero")
        builders.kubectl("scale", "bkb/demo", "--replicas=1")
        builders.make_ready()

    def wait_until_all_is_gone() -> None:
        builders.wait("nothing is left", lambda: not builders.children(), seconds=90)

    return {
        "the operator is through with it": wait_for_one_daemon,
        "somebody scales to zero and back": scale_to_zero_and_back,
        "garbage collection is done": wait_until_all_is_gone,
    }


@contextmanager
def _daemons_that_start(builders: Builders) -> Iterator[None]:
    """Have the daemons of every Deployment of the namespace ready a moment after they are wanted."""
    ended = threading.Event()

    def play() -> None:
        while not ended.wait(DAEMON_SECONDS):
            for found in builders.control_plane.request("GET", builders.path("deployments"))["items"]:
                if not is_settled(found):
                    builders.play_controller(found["metadata"]["name"].removesuffix("-buildkitd"))

    player = threading.Thread(target=play, name="daemons")
    player.start()
    try:
        yield
    finally:
        ended.set()
        player.join()
