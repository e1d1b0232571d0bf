"""Reconcile latency, requests and memory of the operator on a real API server without pods."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hack.bench.figures import Figure, Reach, seconds
from hack.cluster.controlplane import ControlPlane
from hack.cluster.processes import free_port
from hack.cluster.progress import step

CRDS: Final = Path(__file__).parents[2] / "crds"
BUILDERS: Final = "/apis/buildkit-operator.dev/v1alpha1/namespaces/default/buildkitbuilders"
CHILDREN: Final = 8
"""Objects of a shared builder with TLS."""
STARTS: Final = 5


class Operator:
    """A process of the operator, and what the kernel says of it."""

    def __init__(self, control_plane: ControlPlane) -> None:
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        environment = {
            **os.environ,
            "KUBECONFIG": str(control_plane.kubeconfig),
            "BUILDKIT_OPERATOR_HTTP_PORT": str(port),
            "BUILDKIT_OPERATOR_LEASE": "false",
            "BUILDKIT_OPERATOR_LOG_LEVEL": "warning",
        }
        started = time.monotonic()
        self.process = subprocess.Popen([sys.executable, "-m", "buildkit_operator", "operator"], env=environment)
        while not self._ready():
            time.sleep(0.01)
        self.start_seconds = time.monotonic() - started

    def stop(self) -> None:
        """Stop it as Kubernetes does."""
        self.process.terminate()
        self.process.wait()

    def memory(self) -> float:
        """Return its resident memory in MiB."""
        (line,) = (x for x in self._proc("status").splitlines() if x.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def cpu(self) -> float:
        """Return the seconds of processor time it has taken."""
        fields = self._proc("stat").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _proc(self, name: str) -> str:
        return Path(f"/proc/{self.process.pid}/{name}").read_text()

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._url}/readyz", timeout=1) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False


def measure(builders: int, rest: int) -> list[Figure]:
    """Measure one operator from its start through so many builders to its rest and a restart."""
    with step("Starting an API server"), ControlPlane() as control_plane:
        control_plane.apply_crds(CRDS)
        starts = [_start_once(control_plane) for _ in range(STARTS)]
        figures = [Figure("operator start → ready", seconds(starts))]
        with running(control_plane) as operator:
            figures += [_idle(operator), *_converge(control_plane, operator, builders)]
            with step(f"Watching it at rest for {rest} s"):
                figures.append(_writes_at_rest(control_plane, f"writes in {rest} s at rest", rest))
        mark = control_plane.mark()
        with step("Restarting it"), running(control_plane) as operator:
            time.sleep(10)
            writes = [request for request in control_plane.audit(mark) if request.writes]
            figures.append(Figure("writes within 10 s of a restart", str(len(writes)), len(writes), Reach(0)))
            figures.append(Figure(f"restart → ready with {builders} builders", f"{operator.start_seconds:.2f} s"))
        return figures


@contextmanager
def running(control_plane: ControlPlane) -> Iterator[Operator]:
    """Run an operator within the block."""
    operator = Operator(control_plane)
    try:
        yield operator
    finally:
        operator.stop()


def _start_once(control_plane: ControlPlane) -> float:
    with running(control_plane) as operator:
        return operator.start_seconds


def _idle(operator: Operator) -> Figure:
    time.sleep(2)
    mebibytes = operator.memory()
    return Figure("resident memory, idle", f"{mebibytes:.0f} MiB", mebibytes, Reach(60, " MiB"))


def _converge(control_plane: ControlPlane, operator: Operator, builders: int) -> list[Figure]:
    mark, cpu, started = control_plane.mark(), operator.cpu(), time.monotonic()
    with step(f"Creating {builders} builders"):
        with ThreadPoolExecutor(8) as creators:
            list(
                creators.map(lambda n: control_plane.request("POST", BUILDERS, _builder(f"bench-{n}")), range(builders))
            )
        created = time.monotonic() - started
        while _seen(control_plane) < builders:
            time.sleep(0.1)
    taken, spent = time.monotonic() - started, operator.cpu() - cpu
    writes = [r for r in control_plane.audit(mark) if r.writes and r.user_agent.startswith("buildkit-operator")]
    return [
        Figure(f"{builders} builders → all objects and status", f"{taken:.2f} s (creating them took {created:.2f} s)"),
        Figure("objects made per second", f"{builders * CHILDREN / taken:.0f}"),
        Figure("writes per builder, events and status included", f"{len(writes) / builders:.1f}"),
        Figure("processor time per write", f"{spent / len(writes) * 1000:.2f} ms"),
        Figure(f"resident memory with {builders} builders", f"{operator.memory():.0f} MiB"),
    ]


def _writes_at_rest(control_plane: ControlPlane, what: str, rest: int) -> Figure:
    time.sleep(2)
    mark = control_plane.mark()
    time.sleep(rest)
    writes = sum(request.writes for request in control_plane.audit(mark))
    return Figure(what, str(writes), writes, Reach(0))


def _seen(control_plane: ControlPlane) -> int:
    """Count the builders whose status the operator has written."""
    items = control_plane.request("GET", BUILDERS)["items"]
    return sum(item["status"]["observedGeneration"] == item["metadata"]["generation"] for item in items)


def _builder(name: str) -> dict[str, object]:
    return {
        "apiVersion": "buildkit-operator.dev/v1alpha1",
        "kind": "BuildKitBuilder",
        "metadata": {"name": name},
        "spec": {"mode": "Shared"},
    }
