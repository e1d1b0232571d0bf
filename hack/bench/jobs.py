"""Job start latency with a builder in the pod: ours, what people write by hand, and Docker-in-Docker.

A job has started when the container runtime gets its first line of output. The time since the request to create its
pod is by the clocks of client and node; what they differ by is in the pod without a builder as well.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Final

from buildkit_operator.kube.client import Client
from buildkit_operator.kube.resources import POD, Manifest
from hack.bench.clients import open_client
from hack.bench.figures import Figure, Reach, more_seconds, seconds
from hack.bench.pods import own_namespace
from hack.bench.ways import (
    ANSWERED,
    BARE,
    BUILDER,
    DAEMON,
    DIND,
    IDLE,
    IN_TURN,
    JOB,
    OURS,
    READINESS_PROBE,
    STARTED,
    Way,
)
from hack.cluster import cluster
from hack.cluster.kubectl import Kubectl
from hack.cluster.progress import step
from tests.support.jobs import wait_ready
from tests.support.runners import sidecar

REACH: Final = Reach(0.25, " s")
"""Of the daemon's first answer, over a pod without one."""
DEADLINE_SECONDS: Final = 180
UNDISTURBED_SECONDS: Final = 1.0
"""So long nobody asks for a pod that was created, and nothing is started after another pod has gone."""


def measure(kubectl: Kubectl, runs: int) -> list[Figure]:
    """Start so many jobs in each way, on a cluster that runs the operator."""
    cluster.up().load_dind()
    with own_namespace(kubectl, "bench-jobs") as team:
        team.apply(sidecar(BUILDER))
        wait_ready(team, BUILDER)
        return asyncio.run(_measure(team, runs))


async def _measure(team: Kubectl, runs: int) -> list[Figure]:
    async with open_client(team) as client:
        node = _Node(team, client)
        with step("Starting a job in each way, so that the node has unpacked all images"):
            engine = [await node.run_job(way) for way in IN_TURN][IN_TURN.index(DIND)].said
        with step(f"Starting {runs} jobs in each of {len(IN_TURN)} ways, in turn"):
            ran = await _in_turn(node, runs)
        with step(f"Starting {runs} pods that wait for a probe, one every second"):
            waited = await asyncio.gather(*(node.await_ready(READINESS_PROBE, number) for number in range(runs)))
    return _figures(ran, waited, engine)


async def _in_turn(node: "_Node", runs: int) -> "Mapping[Way, list[_Job]]":
    """Start each job after the one before has gone; each way is as often the first of its round as any other."""
    ran: dict[Way, list[_Job]] = {way: [] for way in IN_TURN}
    for number in range(runs):
        first = number % len(IN_TURN)
        for way in (*IN_TURN[first:], *IN_TURN[:first]):
            ran[way].append(await node.run_job(way))
    return ran


@dataclass(frozen=True)
class _Job:
    """A job that has ended well. Its times are in seconds from the request to create its pod."""

    started: float
    answered: float
    """When what it builds with had answered its first question."""
    said: str
    """What it printed between the two."""


@dataclass(frozen=True)
class _Node:
    """The cluster's node, as it gets pods one by one."""

    team: Kubectl
    client: Client

    async def run_job(self, way: Way) -> _Job:
        """Run a pod until its job has ended. Raises AssertionError with the logs where that is no success."""
        async with self._pod(way) as (name, created):
            pod = await self._wait(name, "end its job", lambda pod: "terminated" in _status(pod, JOB).get("state", {}))
            assert _status(pod, JOB)["state"]["terminated"]["exitCode"] == 0, self._logs(name)
            log = self.team("logs", name, f"--container={JOB}", "--timestamps")
            times, said = zip(*(line.split(" ", 1) for line in log.splitlines()), strict=True)
            assert (said[0], said[-1]) == (STARTED, ANSWERED), log
            started, *_, answered = (datetime.fromisoformat(when).timestamp() - created for when in times)
            return _Job(started, answered, " ".join(said[1:-1]))

    async def await_ready(self, way: Way, delay: float) -> float:
        """Return how many seconds after its creation a pod is ready; it is created after a delay."""
        await asyncio.sleep(delay)
        async with self._pod(way) as (name, created):
            await self._wait(name, "be ready", lambda pod: bool(_status(pod, DAEMON).get("ready")))
            return time.time() - created

    @asynccontextmanager
    async def _pod(self, way: Way) -> AsyncIterator[tuple[str, float]]:
        """Have a pod within the block, with its name and when it was asked for."""
        name = f"bench-{uuid.uuid4().hex[:8]}"
        pod = way.pod(self.team.namespace, name)
        created = time.time()
        await self.client.create(pod)
        await asyncio.sleep(UNDISTURBED_SECONDS)
        yield name, created
        await self.client.delete(POD, self.team.namespace, name)
        await self._wait(name, "be gone", lambda pod: not pod)
        await asyncio.sleep(UNDISTURBED_SECONDS)

    async def _wait(self, name: str, what: str, reached: Callable[[Manifest], bool]) -> Manifest:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not reached(pod := await self.client.get(POD, self.team.namespace, name) or {}):
            assert time.monotonic() < deadline, f"{name} did not {what} in {DEADLINE_SECONDS} s:\n{self._logs(name)}"
            await asyncio.sleep(0.1)
        return pod

    def _logs(self, name: str) -> str:
        return self.team("logs", name, "--all-containers", "--prefix")


def _status(pod: Manifest, container: str) -> Manifest:
    """Return what the kubelet says of a container of the pod, which may be gone."""
    statuses: list[Manifest] = pod.get("status", {}).get("containerStatuses", [])
    return next((status for status in statuses if status["name"] == container), {})


def _figures(ran: Mapping[Way, list[_Job]], waited: Sequence[float], engine: str) -> list[Figure]:
    bare = [job.started for job in ran[BARE]]
    started = {way: _less([job.started for job in jobs], bare) for way, jobs in ran.items()}
    answered = {way: median(_less([job.answered for job in jobs], bare)) for way, jobs in ran.items()}
    ready = [taken - median(bare) for taken in waited]
    ours, dind = median(started[OURS]), median(started[DIND])

    def measured(way: Way) -> str:
        return f"{more_seconds(started[way])}, first answer {answered[way]:+.2f} s"

    return [
        Figure(f"job start: {BARE.what}", seconds(bare)),
        Figure(f"job start: {IDLE.what}", more_seconds(started[IDLE])),
        Figure(f"job start: {OURS.what}", measured(OURS), answered[OURS], REACH),
        *(Figure(f"job start: {way.what}", measured(way)) for way in IN_TURN if way not in {BARE, IDLE, OURS}),
        Figure(f"job start: {READINESS_PROBE.what}", more_seconds(ready)),
        _over_dind("job start", ours, dind, engine, Reach(1)),
        _over_dind("job's first answer", answered[OURS], answered[DIND], engine, Reach(0.5)),
    ]


def _over_dind(what: str, ours: float, dind: float, engine: str, reach: Reach) -> Figure:
    return Figure(f"{what}: ours over docker:dind's (engine {engine})", f"{ours / dind:.2f}", ours / dind, reach)


def _less(values: Sequence[float], others: Sequence[float]) -> list[float]:
    """Return the differences, pair by pair: each was measured soon after the other."""
    return [value - other for value, other in zip(values, others, strict=True)]
