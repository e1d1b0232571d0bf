"""The operator at scale: a real API server with etcd, builders by the thousand, and pods that only say that they run.

Each size has an API server of its own, and beside it one on which a bare client sends the same writes. Until the pods
come, there are no controllers and nodes: they would take the processors that are measured.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from hack.bench.figures import Figure, Reach, seconds
from hack.bench.operators import CRDS, Work, running
from hack.bench.scale import bare, churn, phases
from hack.bench.scale.api import BuilderWatch, Connection, seconds_to_ready
from hack.bench.scale.fleet import Fleet, builder
from hack.bench.scale.phases import CREATORS, Run
from hack.cluster.controlplane import ControlPlane
from hack.cluster.progress import step
from tests.integration.builders.conftest import apply_policies

STARTS: Final = 5


def measure(builders: int, rest: int, pods: int) -> list[Figure]:
    """Measure with so many builders and labelled pods, and so many seconds at rest."""
    with _made(Fleet(builders)) as run:
        starts, cpu_of_start = _start(run)
        figures = [Figure(run.what("operator start → ready, without builders"), seconds(starts))]
        with running(run.control_plane, run.log("operator"), lease=False) as operator:
            _settle_policies(run)
            operator.settle()
            work, converged = phases.converge(run, operator)
            with closing(Connection(run.control_plane)) as api:
                recording = bare.Recording.of(api, run.fleet, work.writes)
            figures += [*converged, _beside_a_bare_client(run, work, recording)]
            figures += phases.rest(run, operator, rest)
            figures += phases.delete_children(run, operator)
            figures += phases.edit(run, operator)
        with running(run.control_plane, run.log("beside-pods"), lease=False) as operator:
            figures += churn.measure(run, operator, pods)
        # Now that all are ready, and what made the pods has ended.
        figures += phases.restart(run, cpu_of_start)
        figures += phases.fail_over(run)
    return figures


@contextmanager
def _made(fleet: Fleet) -> Iterator[Run]:
    """Have an API server with the CRDs, the policies and the fleet's namespaces within the block."""
    with tempfile.TemporaryDirectory() as folder, ControlPlane() as control_plane:
        with step(f"Preparing an API server for {fleet.builders:,} builders"):
            control_plane.apply_crds(CRDS)
            apply_policies(control_plane)
        with BuilderWatch(control_plane) as watch:
            run = Run(fleet, control_plane, watch, Path(folder))
            run.server.send(fleet.make_namespaces(), CREATORS)
            yield run


def _start(run: Run) -> tuple[list[float], float]:
    """Start operators without builders; return how long each took to be ready, and one's processor time until rest."""
    taken = []
    for number in range(STARTS):
        with running(run.control_plane, run.log(f"start-{number}"), lease=False) as operator:
            taken.append(operator.seconds_to_ready)
            if number == STARTS - 1:  # the files are in memory by then
                operator.settle()
                return taken, operator.cpu()
    raise AssertionError


def _settle_policies(run: Run) -> None:
    """Wait until the API server acts on the policies, which it takes a moment to notice."""
    seconds_to_ready(run.control_plane, run.fleet.key(0)[0], builder("first", "Sidecar"))


def _beside_a_bare_client(run: Run, work: Work, recording: bare.Recording) -> Figure:
    """Send the same writes to an API server of their own."""
    with ControlPlane() as control_plane, step("Having a bare client send the same writes"):
        control_plane.apply_crds(CRDS)
        apply_policies(control_plane)
        time.sleep(1)
        sent = bare.send(control_plane, run.fleet, recording)
    rate = sent.writes / sent.seconds
    ratio = rate / (len(work.writes) / work.seconds)
    told = f"{ratio:.2f} times as long (it sent {sent.writes:,} writes in {sent.seconds:.1f} s, {rate:,.0f}/s)"
    return Figure(run.what("the operator over a bare client"), told, ratio, Reach(1.5))
