"""What the daemon container's scripts are run in: a directory with stand-ins for programs that note what they see."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from buildkit_operator.desired.scripts import SCRIPTS

SECONDS: Final = 10
"""Nothing here should take that long."""


SHORT_PAUSES: Final = "case $1 in 0.*) exec /bin/sleep $1 ;; *) exec /bin/sleep 0.4 ;; esac"
"""In place of `sleep`, for the pauses between crashes; long enough for somebody to read the log of the last one."""


class Container:
    """A directory that looks to the scripts like the container: programs, a volume, and the socket's directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.volume = folder / "volume"
        self.root = self.volume / "root"
        self.socket = folder / "buildkitd.sock"
        self.notes = folder / "notes"
        self.processes: list[subprocess.Popen[str]] = []
        self.outputs: dict[int, str] = {}
        self.volume.mkdir()
        self.notes.mkdir()
        (folder / "bin").mkdir()
        for name, text in SCRIPTS.items():
            (folder / name).write_text(text)

    def mount(self, scripts: dict[str, str], haproxy: str) -> None:
        """Mount the files of a container with HAProxy as the kubelet does, and make its pauses short."""
        for name, text in scripts.items():
            (self.folder / name).write_text(text)
        self.install("haproxy", haproxy)
        self.install("sleep", "exec /bin/sleep 0.05")
        (self.folder / "tls").mkdir()
        for folder in (self.folder, self.folder / "tls"):
            renew(folder, 1)

    def install(self, program: str, body: str) -> None:
        """Put a shell script in the place of a program; `$HERE` is the container's directory."""
        path = self.folder / "bin" / program
        path.write_text(f"#!/bin/sh\nHERE={self.folder}\n{body}\n")
        path.chmod(0o755)

    def start(self, script: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start a script as the container's first process would be."""
        process = subprocess.Popen(
            ["/bin/sh", str(self.folder / script), *arguments],
            env={
                "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
                "BUILDKIT_HOST": f"unix://{self.socket}",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def output(self, process: subprocess.Popen[str]) -> str:
        """Return what a script printed that has ended."""
        return self.outputs[process.pid]

    def end(self) -> None:
        """Kill what is left of each script's process group, as the end of a container's first process does."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            if process.pid not in self.outputs:
                self.outputs[process.pid] = process.communicate()[0]

    def start_daemon(self, restart: str = "once", **environment: str) -> subprocess.Popen[str]:
        """Start run.sh for a shared daemon (once) or a sidecar (always)."""
        return self.start("run.sh", *self.daemon_arguments(restart), **environment)

    def run_daemon(self, **environment: str) -> tuple[int, str]:
        """Run run.sh for a shared daemon to its end."""
        return self.run("run.sh", *self.daemon_arguments("once"), **environment)

    def daemon_arguments(self, restart: str) -> list[str]:
        return [restart, "buildkitd.toml", str(self.root), str(self.notes)]

    def run(self, script: str, *arguments: str, **environment: str) -> tuple[int, str]:
        """Run a script to its end and return its exit status and what it printed."""
        process = self.start(script, *arguments, **environment)
        output, _ = process.communicate(timeout=SECONDS)
        return process.returncode, output


def renew(folder: Path, version: int) -> None:
    """Put new files into the place of what is mounted: the kubelet swaps a symbolic link."""
    new = folder / "..new"
    new.symlink_to(f"..{version}")
    new.replace(folder / "..data")


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
