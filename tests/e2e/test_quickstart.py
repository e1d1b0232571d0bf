"""What the Quickstart shows is what is printed: the page is run on a real cluster, command by command."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from hack.cluster.installation import REGISTRY
from hack.cluster.kubectl import Kubectl
from tests.support.transcript import Terminal

TOP: Final = Path(__file__).parents[2]
PAGE: Final = TOP / "docs" / "quickstart.md"
SAMPLES: Final = Path("deploy") / "samples" / "quickstart"
NAMESPACE: Final = "quickstart"
MIRROR: Final = f"""\
    - host: {REGISTRY}
      plainHTTP: true
    - host: docker.io
      mirrors: [{REGISTRY}]
"""
"""What the builder needs where docker.io cannot be reached."""


@pytest.fixture
def terminal(cluster: Kubectl, tmp_path: Path) -> Iterator[Terminal]:
    """Return a terminal of the cluster's administrator, in a folder with the samples."""
    shutil.copytree(TOP / SAMPLES, tmp_path / SAMPLES)
    with (tmp_path / SAMPLES / "builder.yaml").open("a") as builder:
        builder.write(MIRROR)
    path = f"{cluster.program.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(tmp_path), "KUBECONFIG": str(cluster.kubeconfig)}
    remove(cluster)
    try:
        yield Terminal(tmp_path, environment, {})
    finally:
        remove(cluster)


def remove(cluster: Kubectl) -> None:
    """Remove what a run has left that came to no end."""
    if cluster.find("namespace", NAMESPACE):
        # A namespace waits for half of the time that its pods may take to end, and a daemon may take long.
        cluster.within(NAMESPACE)("delete", "bkb", "--all", "--cascade=foreground")
        cluster("delete", "namespace", NAMESPACE)


def test_the_page_shows_what_is_printed(terminal: Terminal, request: pytest.FixtureRequest) -> None:
    """`pytest tests/e2e/test_quickstart.py --update-golden` writes what is printed into the page."""
    terminal.check(PAGE, update=request.config.getoption("--update-golden"))
