"""An API server that stores what Python does not decode, and all processes as they run in production."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hack.cluster.controlplane import ControlPlane
from tests.integration.hostile.processes import Processes
from tests.integration.webhook.installation import Installation, prepare


@pytest.fixture
def hostile(start_control_plane: Callable[..., ControlPlane], tmp_path: Path) -> Iterator[Processes]:
    """Return the processes, none of which runs yet, and an API server of their own."""
    control_plane = start_control_plane()
    prepare(control_plane)
    with ExitStack() as started:
        installation = Installation(control_plane, tmp_path)
        started.callback(installation.stop)
        processes = Processes(installation)
        started.callback(processes.stop)
        yield processes
