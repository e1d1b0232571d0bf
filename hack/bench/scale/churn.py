"""Pods: the daemons' own, and labelled ones that come and go."""

import json
import threading
import time
from collections import deque
from contextlib import closing
from typing import Final

from buildkit_operator.kube.resources import POD, Key
from hack.bench.figures import Figure, milliseconds
from hack.bench.operators import Operator, Stopwatch
from hack.bench.rendered import LABEL, runner_pod
from hack.bench.scale.api import Connection
from hack.bench.scale.fleet import is_ready
from hack.bench.scale.nodes import nodes
from hack.bench.scale.phases import Run, one_more_now_and_then
from hack.cluster.progress import step

PODS_A_SECOND: Final = 20
LIFE_SECONDS: Final = 10
"""Of a labelled pod."""


def measure(run: Run, operator: Operator, pods: int) -> list[Figure]:
    """Have nodes, on which the daemons' pods come up, and then so many labelled pods that come and go."""
    operator.settle()
    run.watch.expect(is_ready)
    watch = Stopwatch.start(run.control_plane, operator)
    shared = (run.fleet.builders + 1) // 2
    with nodes(run.control_plane):
        with step(f"Waiting for the daemons of {shared:,} builders"):
            # Sidecar builders are ready, and there is no news of them.
            ready = run.watch.wait(shared) - watch.began
            came = watch.rest()
        figure = f"{ready:.1f} s, {came.cpu:.1f} s of processor time, {came.cpu_per_write:.2f} ms per write"
        return [Figure(run.what("nodes started → all daemons ready"), figure), *_labelled(run, operator, pods)]


def _labelled(run: Run, operator: Operator, pods: int) -> list[Figure]:
    watch = Stopwatch.start(run.control_plane, operator)
    with (
        step(f"Having {pods:,} labelled pods come and go"),
        one_more_now_and_then(run, "Shared") as (taken, others),
    ):
        _come_and_go(run, pods)
        others.set()
        work = watch.rest()
    cpu, writes = work.cpu / pods * 1000, len(work.writes) / pods
    told = f"{cpu:.2f} ms of processor time and {writes:.2f} writes each, {work.cpu / work.seconds:.1%} of a core"
    return [
        Figure(run.what(f"{pods:,} labelled pods, {PODS_A_SECOND} a second"), told),
        Figure(run.what("one more Shared builder's Ready meanwhile"), f"{milliseconds(taken)} ({len(taken)})"),
        Figure(run.what("memory after the pods"), f"{operator.mebibytes:.0f} MiB"),
    ]


def _come_and_go(run: Run, pods: int) -> None:
    """Create pods at their rate, and delete each after its life; return when the last one has gone."""
    going: deque[tuple[float, Key]] = deque()
    deleter = threading.Thread(target=_delete, args=(run, going, pods), name="pods that go")
    deleter.start()
    with closing(Connection(run.control_plane)) as api:
        began = time.monotonic()
        for number in range(pods):
            if (early := began + number / PODS_A_SECOND - time.monotonic()) > 0:
                time.sleep(early)
            namespace, name = run.fleet.key(number % run.fleet.builders)
            pod = runner_pod(1, **{LABEL: name})
            pod["metadata"] |= {"name": f"job-{number}", "namespace": namespace}
            created = api.ask("POST", POD.path(namespace), pod)
            assert f'"{LABEL}": "{name}"' in json.dumps(created["metadata"])
            assert created["spec"].get("initContainers"), "the pod did not get its builder"
            going.append((time.monotonic() + LIFE_SECONDS, (namespace, created["metadata"]["name"])))
    deleter.join()


def _delete(run: Run, going: "deque[tuple[float, Key]]", pods: int) -> None:
    with closing(Connection(run.control_plane)) as api:
        deleted = 0
        while deleted < pods:
            if not going or going[0][0] > time.monotonic():
                time.sleep(0.02)
                continue
            api.ask("DELETE", POD.path(*going.popleft()[1]))
            deleted += 1
