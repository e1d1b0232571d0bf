"""API servers with a webhook: one for the tests that leave the process alone, and one for each that does not."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hack.cluster.controlplane import ControlPlane
from tests.integration.conftest import CRDS
from tests.integration.webhook.installation import Installation, prepare

StartInstallation = Callable[[], Installation]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """Return an API server with a webhook that serves it."""
    with ControlPlane() as control_plane:
        control_plane.apply_crds(CRDS)
        prepare(control_plane)
        installation = Installation(control_plane, tmp_path_factory.mktemp("webhook"))
        try:
            installation.install()
            yield installation
        finally:
            installation.stop()


@pytest.fixture
def start_installation(start_control_plane: Callable[..., ControlPlane], tmp_path: Path) -> Iterator[StartInstallation]:
    """Return a function that starts an API server for this test alone, ready for a webhook."""
    with ExitStack() as started:

        def start() -> Installation:
            control_plane = start_control_plane()
            prepare(control_plane)
            installation = Installation(control_plane, tmp_path)
            started.callback(installation.stop)
            return installation

        yield start
