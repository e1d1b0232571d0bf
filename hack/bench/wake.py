"""Wake from zero: a runner pod is created while its builder has no daemon, which autoscaling then brings.

A build starts when its client prints the first that a daemon has told. The time since the request to create the pod is
by the clocks of client and node; what they differ by is in the times beside a daemon that is there as well.
"""

import asyncio
import time
import uuid
from collections.abc import Sequence
from datetime import datetime
from statistics import median
from typing import Any, Final

from buildkit_operator.kube.resources import Manifest
from hack.bench.clients import open_client
from hack.bench.figures import Figure, seconds
from hack.bench.pods import clear, own_namespace
from hack.cluster import pins
from hack.cluster.kubectl import Kubectl, wait_for
from hack.cluster.progress import step
from tests.support.daemons import daemon_pods
from tests.support.jobs import builder, wait_ready, wait_reason
from tests.support.runners import LABEL, SOCKET

IDLE_SECONDS: Final = 5
AUTOSCALED: Final = {
    "autoscaling": {"minReplicas": 0, "maxReplicas": 2, "runnersPerReplica": 2, "idleSeconds": IDLE_SECONDS}
}
ALWAYS_THERE: Final = {"replicas": 1}
CLAIM: Final[Manifest] = {"size": "1Gi", "persistentVolumeClaim": {}}
CACHES: Final[dict[str, Manifest]] = {"without a claim": {"size": "1Gi"}, "with a claim": CLAIM}

DEADLINE_SECONDS: Final = 180
_SCRIPT: Final = (
    "mkdir /tmp/c && cd /tmp/c && printf 'FROM scratch\\nCOPY Dockerfile /\\n' >Dockerfile && "
    f"buildctl --addr {SOCKET} build --progress plain --frontend dockerfile.v0 --local context=. --local dockerfile=."
)


def measure(kubectl: Kubectl, runs: int) -> list[Figure]:
    """Wake a builder so many times with each kind of cache, on a cluster that runs the operator."""
    figures = []
    with own_namespace(kubectl, "bench-wake") as team:
        for cache, spec in CACHES.items():
            with step(f"Waking a builder {runs} times, {cache}"):
                woken = _starts(team, "woken", runs, cache=spec, shared=AUTOSCALED)
            with step(f"Starting {runs} builds with a daemon that is there, {cache}"):
                there = _starts(team, "there", runs, cache=spec, shared=ALWAYS_THERE)
            figures += [
                Figure(f"pod created at zero daemons → its build starts, {cache}", seconds(woken)),
                Figure(f"the same with a daemon that is there, {cache}", seconds(there)),
                Figure(f"waking over a daemon that is there, {cache}", f"{median(woken) - median(there):+.2f} s"),
            ]
    return figures


def _starts(team: Kubectl, prefix: str, runs: int, **spec: Any) -> list[float]:
    # Of another name each: what belongs to a builder goes some time after it.
    name = f"{prefix}-{uuid.uuid4().hex[:4]}"
    team.apply(builder(name, **spec))
    times = [_start(team, name, wakes=spec["shared"] is AUTOSCALED) for _ in range(runs)]
    clear(team)
    return times


def _start(team: Kubectl, asks_for: str, *, wakes: bool) -> float:
    """Run one build, and return the seconds from its pod's creation until it starts."""
    if wakes:
        wait_reason(team, "ScaledToZero", asks_for, DEADLINE_SECONDS)
        wait_for("its daemon is gone", lambda: not daemon_pods(team, asks_for), DEADLINE_SECONDS)
    else:
        wait_ready(team, asks_for, DEADLINE_SECONDS)
    # Not while the kubelet still removes what was there.
    time.sleep(2)
    name = f"runner-{uuid.uuid4().hex[:8]}"
    created = asyncio.run(_create(team, _pod(team.namespace, name, asks_for)))
    phase = wait_for(f"{name} ends", lambda: _ended(team, name), DEADLINE_SECONDS)
    log = team("logs", name, "--container=job", "--timestamps")
    assert phase == "Succeeded", log
    team("delete", "pod", name)
    return first_told(log.splitlines()) - created


async def _create(team: Kubectl, pod: Manifest) -> float:
    """Create a pod, and return the time at which that was asked for."""
    async with open_client(team) as client:
        created = time.time()
        await client.create(pod)
    return created


def first_told(log: Sequence[str]) -> float:
    """Return when a build printed its first line of progress, in a log with timestamps."""
    line = next(line for line in log if line.split(" ", 1)[1].startswith("#1 "))
    return datetime.fromisoformat(line.split(" ", 1)[0]).timestamp()


def _pod(namespace: str, name: str, asks_for: str) -> Manifest:
    job = {"name": "job", "image": pins.BUILDKIT_IMAGE, "command": ["sh", "-ec", _SCRIPT]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {LABEL: asks_for}},
        "spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [job]},
    }


def _ended(team: Kubectl, name: str) -> str | None:
    phase: str = team.get("pod", name)["status"].get("phase", "Pending")
    return phase if phase in {"Succeeded", "Failed"} else None
