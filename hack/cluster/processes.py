"""A process supervisor: programs that cannot outlive the tests, readiness polls, and their log when they fail."""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import randrange
from typing import Final

LOG_LINES_SHOWN: Final = 30

# Linux ends a child with the *thread* that started it, so all are started by one that lives as long as this process.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="starter")


class ProcessError(Exception):
    """A program ended or did not answer in time; the message holds the end of its log."""


class Process:
    """A program with its log file, which the kernel kills when this process ends, however it ends (on Linux)."""

    def __init__(self, program: Path, arguments: Sequence[str], log: Path) -> None:
        self.name = program.name
        self.log = log
        with log.open("a") as output:
            self._popen = _starter.submit(
                subprocess.Popen,
                dies_with_parent("KILL", [program, *arguments]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            ).result()

    @property
    def pid(self) -> int:
        """Return the process id of the program."""
        return self._popen.pid

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Poll until the program is ready. Raises ProcessError when it ends or the time is over."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self._popen.poll() is not None:
                raise ProcessError(f"{self.name} ended with status {self._popen.returncode}:\n{self._end_of_log()}")
            if time.monotonic() > deadline:
                raise ProcessError(f"{self.name} was not ready after {seconds:g} seconds:\n{self._end_of_log()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """Kill the program as the kernel would when memory runs out, and wait until it is gone."""
        self._popen.kill()
        self._popen.wait()

    def freeze(self) -> None:
        """Stop the program from running, with its connections left open."""
        self._popen.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen program run on."""
        self._popen.send_signal(signal.SIGCONT)

    def _end_of_log(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:])


def dies_with_parent(signal_name: str, command: Sequence[str | Path]) -> list[str | Path]:
    """Return the command such that Linux sends it the signal when the thread that starts it ends."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", signal_name, "--", *command] if setpriv else [*command]


def free_port() -> int:
    """Return a free loopback port below those that the kernel gives to outgoing connections.

    So a program that is killed finds its port still free when it starts again. No other process gets it from here
    meanwhile, while this one lives and has asked for no more than a few hundred since: tests run side by side.
    """
    while True:
        port = randrange(20000, 30000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            if _reserve(port):
                return port


_reservations: Final[deque[int]] = deque()
_MOST_RESERVATIONS: Final = 200
"""A file that is open for each, of which a process may have 1024."""


def _reserve(port: int) -> bool:
    """Take a port's lock, which goes with the process; tell whether nobody has it."""
    folder = Path(tempfile.gettempdir()) / f"buildkit-operator-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    file = os.open(folder / str(port), os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return False
    _reservations.append(file)
    if len(_reservations) > _MOST_RESERVATIONS:
        os.close(_reservations.popleft())
    return True
