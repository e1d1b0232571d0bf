"""The docker client, for the engine that runs the cluster: the user's, or the private one."""

import os
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from hack.cluster.problems import ClusterError
from hack.cluster.processes import dies_with_parent


class DockerError(ClusterError):
    """docker refused or failed; the message is what it said."""


class Docker:
    """Calls docker for one engine."""

    def __init__(self, client: Sequence[str], host: str = "") -> None:
        self._client = list(client)
        self._host = host

    def __call__(self, *arguments: str, stdin: IO[bytes] | None = None, seconds: float = 600) -> str:
        """Return what docker prints. Raises DockerError."""
        try:
            done = subprocess.run(
                dies_with_parent("KILL", [*self._client, *arguments]),
                env=self.environment(),
                stdin=stdin or subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise DockerError(f"docker {arguments[0]} has not ended after {seconds:g} seconds.") from late
        if done.returncode:
            raise DockerError(f"docker {' '.join(arguments[:2])}: {done.stderr.decode(errors='replace').strip()}")
        return done.stdout.decode()

    def environment(self) -> dict[str, str]:
        """Return the environment in which docker, and kind which calls it, finds the engine."""
        if not self._host:
            return dict(os.environ)
        # Debian's engine has a builder of its own; the newer one would ask for more than a private engine has.
        return {**os.environ, "DOCKER_HOST": self._host, "DOCKER_BUILDKIT": "0"}

    def write_script(self, path: Path) -> None:
        """Write a program `docker` for people (and kind) that talks to this engine."""
        words = " ".join(shlex.quote(word) for word in self._client)
        host = f"DOCKER_BUILDKIT=0 DOCKER_HOST={shlex.quote(self._host)} " if self._host else ""
        path.unlink(missing_ok=True)
        path.write_text(f'#!/bin/sh\n{host}exec {words} "$@"\n')
        path.chmod(0o755)

    def image_id(self, image: str) -> str | None:
        """Return the id of an image that the engine has, or None."""
        try:
            return self("image", "inspect", "--format={{.Id}}", image).strip()
        except DockerError:
            return None

    def load(self, archive: Path) -> None:
        """Load an image archive into the engine."""
        with archive.open("rb") as file:
            self("load", "--quiet", stdin=file)
