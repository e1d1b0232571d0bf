"""A real HAProxy with a configuration of ours, its certificates, and a real client that it refuses."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from buildkit_operator.pki.issuer import issue_leaf
from buildkit_operator.pki.keypairs import KeyPair, Usage
from hack.cluster import artifacts
from tests.integration.fuzz.tools import haproxy

NAME: Final = "demo-buildkitd.ci.svc"
"""What connectors look for in a daemon's certificate."""
DAY: Final = timedelta(days=1)


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


def certify(folder: Path, authority: KeyPair, usage: Usage, file: str) -> None:
    """Put a certificate of an authority for one use into a folder, beside those of whom it trusts."""
    pair = issue_leaf(authority, "demo", usage, [NAME], DAY, datetime.now(UTC))
    (folder / "ca.crt").write_bytes(authority.certificate)
    (folder / file).write_bytes(pair.certificate)
    (folder / f"{file}.key").write_bytes(pair.key)
