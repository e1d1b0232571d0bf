"""A real HAProxy with a configuration of ours, and a real client that it refuses."""

import subprocess
from pathlib import Path

import pytest

from hack.cluster import artifacts
from tests.integration.fuzz.tools import haproxy


def program() -> list[str]:
    """Return the words that run HAProxy. Skips the test where there is none of the version that is injected."""
    found = haproxy()
    if found is None:
        pytest.skip("no HAProxy of the version that is injected, and only root can make its image")
    return found


def refusal(address: str, folder: Path) -> str:
    """Return what buildctl says of a build that it was refused."""
    (folder / "Dockerfile").write_text("FROM scratch\n")
    buildctl = artifacts.ensure("buildkit")["buildkit"] / "buildctl"
    contexts = [f"--local={kind}={folder}" for kind in ("context", "dockerfile")]
    command = [str(buildctl), f"--addr={address}", "build", "--frontend=dockerfile.v0", *contexts]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert ended.returncode != 0
    return ended.stderr
