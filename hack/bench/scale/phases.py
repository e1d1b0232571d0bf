"""The phases of a run that need no pods, each with its figures."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack.bench.figures import Figure, Reach, milliseconds, percentiles
from hack.bench.load import Server
from hack.bench.operators import Operator, Stopwatch, Work, requests_since, running
from hack.bench.scale.api import BuilderWatch, seconds_to_ready
from hack.bench.scale.fleet import Fleet, builder, is_told
from hack.cluster.controlplane import ControlPlane
from hack.cluster.progress import step

CREATORS: Final = 4
"""Connections by which all builders are created, changed or robbed of an object."""
FEWEST: Final = 5
"""Of builders that are made meanwhile, also where all others take no longer than one of them."""
ONE_AT_A_TIME: Final = 100
"""Objects that are deleted one after another."""


@dataclass(frozen=True)
class Run:
    """An API server with the namespaces of a fleet, and what is measured there."""

    fleet: Fleet
    control_plane: ControlPlane
    watch: BuilderWatch
    folder: Path
    """For the operators' logs."""

    @property
    def server(self) -> Server:
        """Return the API server as the load generator knows it."""
        return Server.of(self.control_plane)

    def log(self, name: str) -> Path:
        """Return the log of a process."""
        return self.folder / f"{name}.log"

    def what(self, figure: str) -> str:
        """Return the name of a figure with the size of the run."""
        return f"{self.fleet.builders:,} builders: {figure}"


def converge(run: Run, operator: Operator) -> tuple[Work, list[Figure]]:
    """Create all builders, and wait until they are what they can be without pods."""
    idle = operator.mebibytes
    run.watch.expect(is_told)
    watch = Stopwatch.start(run.control_plane, operator)
    with step(f"Creating {run.fleet.builders:,} builders"), one_more_now_and_then(run, "Sidecar") as (taken, others):
        run.server.send(run.fleet.create(), CREATORS)
        created = time.monotonic() - watch.began
        reached = run.watch.wait(run.fleet.builders) - watch.began
        others.set()
        work = watch.rest()
    memory = operator.mebibytes
    each = (memory - idle) / run.fleet.builders * 1024
    objects = sum(request.verb == "patch" and not request.subresource for request in work.writes)
    rate = len(work.writes) / work.seconds
    return work, [
        Figure(run.what("all objects and status"), f"{reached:.1f} s (creating them took {created:.1f} s)"),
        Figure(run.what("objects a second"), f"{objects / work.seconds:,.0f}"),
        Figure(run.what("writes a second"), f"{rate:,.0f}", rate, Reach(400, at_least=True)),
        Figure(run.what("processor time"), f"{work.cpu:.1f} s"),
        _cpu_per_write(run, work),
        Figure(run.what("requests"), work.verbs),
        Figure(run.what("memory idle"), f"{idle:.0f} MiB", idle, Reach(65, " MiB")),
        Figure(run.what("memory with them"), f"{memory:.0f} MiB, {each:.0f} KiB each", each, Reach(40, " KiB")),
        Figure(run.what("one more Sidecar builder's Ready meanwhile"), f"{milliseconds(taken)} ({len(taken)})"),
    ]


@contextmanager
def one_more_now_and_then(run: Run, mode: str) -> Iterator[tuple[list[float], threading.Event]]:
    """Create one more builder every second within the block, until the event is set.

    Yields how long each took to be ready, in seconds, and the event.
    """
    taken: list[float] = []
    enough = threading.Event()

    def create() -> None:
        for number in itertools.count():
            more = builder(f"one-more-{mode.lower()}-{number}", mode)
            taken.append(seconds_to_ready(run.control_plane, run.fleet.key(0)[0], more))
            if enough.wait(1) and len(taken) >= FEWEST:
                return

    thread = threading.Thread(target=create, name="one more", daemon=True)
    thread.start()
    yield taken, enough
    enough.set()
    thread.join()


def rest(run: Run, operator: Operator, seconds: int) -> list[Figure]:
    """Watch an operator that has nothing to do."""
    with step(f"Watching it at rest for {seconds} s"):
        mark, cpu = run.control_plane.mark(), operator.cpu()
        time.sleep(seconds)
        requests = requests_since(run.control_plane, mark)
    writes = sum(request.writes for request in requests)
    share = (operator.cpu() - cpu) / seconds
    figure = f"{writes}, {len(requests) - writes} reads, {share:.1%} of a core"
    return [Figure(run.what(f"writes in {seconds} s at rest"), figure, writes, Reach(0))]


def delete_children(run: Run, operator: Operator) -> list[Figure]:
    """Delete an object of one builder after another, and then of all at once."""
    figures = []
    with step("Deleting objects one after another"):
        for mode, first in (("Shared", 0), ("Sidecar", 1)):
            numbers = range(first, run.fleet.builders, max(2, run.fleet.builders // ONE_AT_A_TIME // 2 * 2))
            taken = _times_to_come_back(run, operator, numbers)
            p50 = percentiles(taken)[0] * 1000
            what = run.what(f"deleted object of a {mode} builder is back")
            figures.append(Figure(what, f"{milliseconds(taken)} ({len(taken)})", p50, Reach(7, " ms")))
    with step("Deleting an object of each builder"):
        work = _measure(run, operator, lambda: run.server.send(run.fleet.delete_children(), CREATORS))
    made = sum(request.resource == "configmaps" and request.code < 300 for request in work.writes)
    assert made >= run.fleet.builders, f"{made} of {run.fleet.builders} deleted objects are back"
    return [*figures, _of_all(run, "an object of each deleted → back", work)]


def _times_to_come_back(run: Run, operator: Operator, numbers: range) -> list[float]:
    """Return, by the API server's clock, the seconds from a deletion's answer to that of the new object's creation."""
    mark = run.control_plane.mark()
    for number in numbers:
        run.server.send(run.fleet.delete_children(range(number, number + 1)), 1)
        time.sleep(0.05)
    operator.settle()
    requests = [r for r in run.control_plane.audit(mark) if r.resource == "configmaps" and r.code < 300]
    deleted = {(r.namespace, r.name): r.answered for r in requests if r.verb == "delete"}
    made = [r for r in requests if r.verb == "patch" and (r.namespace, r.name) in deleted]
    return [r.answered - deleted[r.namespace, r.name] for r in made]


def edit(run: Run, operator: Operator) -> list[Figure]:
    """Change the spec of all builders."""
    run.watch.expect(is_told)

    def change() -> None:
        run.server.send(run.fleet.edit(), CREATORS)
        run.watch.wait(run.fleet.builders)

    with step("Changing each builder"):
        work = _measure(run, operator, change)
    return [_of_all(run, "each spec changed → done", work), _cpu_per_write(run, work, " of a change")]


def restart(run: Run, cpu_of_start: float) -> list[Figure]:
    """Start an operator over builders that are as they should be."""
    with step("Restarting it"):
        mark = run.control_plane.mark()
        began = time.monotonic()
        with running(run.control_plane, run.log("restarted"), lease=False) as operator:
            done = operator.settle() - began
            each = (operator.cpu() - cpu_of_start) / run.fleet.builders * 1000
            requests = requests_since(run.control_plane, mark)
            memory = operator.mebibytes
    writes = sum(request.writes for request in requests)
    told = f"{each:.2f} ms each; ready after {operator.seconds_to_ready:.1f} s, done after {done:.1f} s"
    return [
        Figure(run.what("restart, processor time"), told, each, Reach(3, " ms")),
        Figure(run.what("restart, requests"), Work(done, 0, requests).verbs),
        Figure(run.what("restart, writes"), str(writes), writes, Reach(0)),
        Figure(run.what("restart, memory"), f"{memory:.0f} MiB"),
    ]


def fail_over(run: Run) -> list[Figure]:
    """Kill one of two replicas, and end the next one as Kubernetes does; see when one more builder is ready."""
    with step("Failing over"):
        first = _replica(run, "first")
        with running(run.control_plane, run.log("second"), lease=True, identity="second") as second:
            second.settle()
            standby = second.mebibytes
            killed = _seconds_to_ready_after(run, first.kill, "killed")
            second.settle()
            third = _replica(run, "third")
            third.settle()
            ended = _seconds_to_ready_after(run, second.terminate, "ended")
            third.kill()
    return [
        Figure(run.what("memory of a replica that waits"), f"{standby:.0f} MiB"),
        Figure(run.what("leader killed → one more Sidecar builder is ready"), f"{killed:.1f} s"),
        Figure(run.what("leader ended by SIGTERM → one more is ready"), f"{ended:.1f} s"),
    ]


def _replica(run: Run, name: str) -> Operator:
    return Operator(run.control_plane, run.log(name), lease=True, identity=name)


def _seconds_to_ready_after(run: Run, end: Callable[[], None], name: str) -> float:
    began = time.monotonic()
    end()
    seconds_to_ready(run.control_plane, run.fleet.key(0)[0], builder(name, "Sidecar"))
    return time.monotonic() - began


def _measure(run: Run, operator: Operator, work: Callable[[], object]) -> Work:
    watch = Stopwatch.start(run.control_plane, operator)
    work()
    return watch.rest()


def _of_all(run: Run, what: str, work: Work) -> Figure:
    writes = len(work.writes)
    told = f"{work.seconds:.1f} s, {writes:,} writes, {writes / work.seconds:,.0f}/s"
    return Figure(run.what(what), f"{told}, {work.cpu:.1f} s of processor time")


def _cpu_per_write(run: Run, work: Work, of: str = "") -> Figure:
    figure = f"{work.cpu_per_write:.2f} ms"
    return Figure(run.what(f"processor time per write{of}"), figure, work.cpu_per_write, Reach(1.3, " ms"))
