"""CLUSTER=current: nothing happens to the cluster of a user's kubeconfig before they agree."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hack.cluster import current
from hack.cluster.audit import Request
from hack.cluster.controlplane import ControlPlane

TOP = Path(__file__).parents[2]


def run(control_plane: ControlPlane, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of hack.cluster as a user whose current context is that of the control plane."""
    return subprocess.run(
        [sys.executable, "-m", "hack.cluster", command],
        env={**os.environ, "CLUSTER": "current", "KUBECONFIG": str(control_plane.kubeconfig), **environment},
        cwd=TOP,
        stdin=subprocess.DEVNULL,
        text=True,
        capture_output=True,
        check=False,
    )


def written_by_kubectl(control_plane: ControlPlane, mark: int) -> list[Request]:
    """Return what was written by the program that installs things: the operator of other tests is an admin, too."""
    return [r for r in control_plane.audit(mark) if r.writes and r.user_agent.startswith("kubectl")]


@pytest.fixture(autouse=True)
def unused() -> None:
    if current.kubeconfig().exists():
        pytest.skip("CLUSTER=current is in use in this checkout")


def test_nothing_is_installed_without_consent(control_plane: ControlPlane) -> None:
    mark = control_plane.mark()

    done = run(control_plane, "up")

    assert done.returncode == 1
    assert "needs your consent" in done.stderr
    assert control_plane.url in done.stderr, "the server is named"
    assert written_by_kubectl(control_plane, mark) == []
    assert not current.kubeconfig().exists()


def test_a_registry_that_was_there_before_is_not_taken_over(start_control_plane: Callable[[], ControlPlane]) -> None:
    control_plane = start_control_plane()
    control_plane.kubectl("create", "namespace", "registry")
    mark = control_plane.mark()

    done = run(control_plane, "up", YES="1")

    assert done.returncode == 1
    assert 'has a namespace "registry" of its own' in done.stderr
    assert written_by_kubectl(control_plane, mark) == []
    assert not current.kubeconfig().exists()
