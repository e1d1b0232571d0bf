"""Runs a program of ours as the process that it is in production, and reads what it says of itself."""

import http.client
import os
import re
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hack.cluster.processes import Process, free_port

START_SECONDS: Final = 60
END_SECONDS: Final = 60
"""Long for a process that was told to end, on any machine; what tests look for is one that does not end."""
ROOT: Final = Path(__file__).parents[2]


class ServiceProcess(Process):
    """A program that serves its health and metrics, with settings by their names in `buildkit_operator.settings`."""

    def __init__(
        self,
        command: Sequence[str],
        kubeconfig: Path,
        log: Path,
        settings: dict[str, object],
        environment: Sequence[str] = (),
    ) -> None:
        self.port = free_port()
        chosen = {"http_port": self.port, **settings}
        variables = [f"BUILDKIT_OPERATOR_{name.upper()}={value}" for name, value in chosen.items()]
        arguments = [f"--chdir={ROOT}", f"KUBECONFIG={kubeconfig}", *environment, *variables, sys.executable, *command]
        super().__init__(Path("/usr/bin/env"), arguments, log)

    def wait_ready(self) -> None:
        self.wait_until(lambda: self.get("/readyz")[0] == 200, START_SECONDS)

    def get(self, path: str) -> tuple[int, str]:
        """Return the status and body; status 0 while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""

    def metric(self, name: str) -> float:
        """Return the sum of a metric over all its labels."""
        found = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        return sum(float(value) for value in found)

    @property
    def reconciles(self) -> float:
        return self.metric("buildkit_operator_reconcile_total")

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def terminate(self) -> None:
        self._popen.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Return the exit status. Raises subprocess.TimeoutExpired where it does not end by itself."""
        return self._popen.wait(END_SECONDS)

    def memory(self) -> int:
        """Return the resident memory in KiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
        assert found
        return int(found[1])

    def cpu(self) -> float:
        """Return the seconds of processor time it has taken."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
