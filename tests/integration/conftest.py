"""A real API server for the tests of this folder: one for all, or one of a test's own to kill and to count on."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from hack.cluster.controlplane import PROGRAMS, ControlPlane, program
from tests.integration import workers

CRDS: Final = Path(__file__).parents[2] / "crds"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return what --numprocesses=auto means here."""
    return workers.number()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> workers.FolderScheduling | None:
    """Refine --dist=loadfile; others are xdist's own."""
    return workers.FolderScheduling(config, log) if config.option.dist == "loadfile" else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Arrange these tests for the scheduler, which goes by the order in which the workers have them."""
    if hasattr(config, "workerinput"):
        mine = [item for item in items if Path(__file__).parent in item.path.parents]
        items[:] = [item for item in items if item not in mine] + workers.arrange(mine)


@pytest.fixture(scope="session", autouse=True)
def programs(progress_shown: Callable[[], AbstractContextManager[None]]) -> None:
    """Build the programs before the first test, whichever that is."""
    with progress_shown():
        for name in PROGRAMS:
            program(name)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """Start the API server that the session's tests share. It has no controllers and no CRDs (but see `crds`)."""
    with ControlPlane() as shared:
        yield shared


@pytest.fixture(scope="session")
def crds(control_plane: ControlPlane) -> None:
    """Let the shared API server know the project's resources."""
    control_plane.apply_crds(CRDS)


@pytest.fixture
def kubeconfig(control_plane: ControlPlane) -> Path:
    """Return the kubeconfig of an admin of the shared API server."""
    return control_plane.kubeconfig


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    """Create a namespace for this test alone. It goes with the API server: nothing here could empty it."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return name


@pytest.fixture
def start_control_plane() -> Iterator[Callable[..., ControlPlane]]:
    """Return a function that starts an API server for this test alone, with the project's CRDs.

    It takes the arguments of ControlPlane.
    """
    with ExitStack() as started:

        def start(**options: tuple[str, ...]) -> ControlPlane:
            control_plane = started.enter_context(ControlPlane(**options))
            control_plane.apply_crds(CRDS)
            return control_plane

        yield start
