"""The operator's process as it is measured: when it has nothing more to do, and what a stretch of its work has cost."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from hack.cluster.audit import Request
from hack.cluster.controlplane import ControlPlane
from tests.integration.builders.builder_operator import BuilderOperator

CRDS: Final = Path(__file__).parents[2] / "crds"
QUIET_SECONDS: Final = 1.0
QUIET_CPU: Final = 0.02
"""Seconds of processor time in QUIET_SECONDS that are nothing: it reads watches all the while."""
USER_AGENT: Final = "buildkit-operator/"


class Operator(BuilderOperator):
    """A process of the operator, ready once it is made."""

    def __init__(self, control_plane: ControlPlane, log: Path, **settings: object) -> None:
        began = time.monotonic()
        super().__init__(control_plane.kubeconfig, log, log_level="warning", **settings)
        self.wait_ready()
        self.seconds_to_ready = time.monotonic() - began

    @property
    def mebibytes(self) -> float:
        """Return its resident memory."""
        return self.memory() / 1024

    def settle(self) -> float:
        """Wait until it has nothing to do, and return when that began, see time.monotonic."""
        while True:
            began, before = time.monotonic(), self.cpu()
            time.sleep(QUIET_SECONDS)
            if self.cpu() - before <= QUIET_CPU:
                return began


@contextmanager
def running(control_plane: ControlPlane, log: Path, **settings: object) -> Iterator[Operator]:
    """Have an operator within the block, which is then ended as Kubernetes ends one."""
    operator = Operator(control_plane, log, **settings)
    try:
        yield operator
        operator.terminate()
        operator.wait()
    finally:
        operator.kill()


@dataclass(frozen=True)
class Work:
    """What an operator did from one moment to its next rest."""

    seconds: float
    cpu: float
    """Seconds of processor time."""
    requests: Sequence[Request]

    @property
    def writes(self) -> Sequence[Request]:
        """Return those that could change something."""
        return [request for request in self.requests if request.writes]

    @property
    def cpu_per_write(self) -> float:
        """Return milliseconds of processor time."""
        return self.cpu / len(self.writes) * 1000

    @property
    def verbs(self) -> str:
        """Return how many requests there were of each verb; dry runs stand apart."""
        counted = Counter("dry run" if "dryRun=All" in request.uri else request.verb for request in self.requests)
        return ", ".join(f"{verb} {count:,}" for verb, count in sorted(counted.items()))


@dataclass(frozen=True)
class Stopwatch:
    """Measures an operator's work from a moment on."""

    control_plane: ControlPlane
    operator: Operator
    mark: int
    cpu: float
    began: float

    @classmethod
    def start(cls, control_plane: ControlPlane, operator: Operator) -> Self:
        """Begin now."""
        return cls(control_plane, operator, control_plane.mark(), operator.cpu(), time.monotonic())

    def rest(self) -> Work:
        """Wait until the operator has nothing to do any more, and return what it did."""
        ended = self.operator.settle()
        return Work(ended - self.began, self.operator.cpu() - self.cpu, requests_since(self.control_plane, self.mark))


def requests_since(control_plane: ControlPlane, mark: int) -> Sequence[Request]:
    """Return the operator's requests since a mark in the audit log."""
    return [request for request in control_plane.audit(mark) if request.user_agent.startswith(USER_AGENT)]
