"""A bound on the builds of a daemon: what a day's mix in small loses and gains by it, how builds overflow and wait."""

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from buildkit_operator.api.names import CACHE_KEY_ANNOTATION
from buildkit_operator.api.shared import METRICS_PORT
from hack.bench import mix, timed
from hack.bench.builds import CONNECTED, DIRECT
from hack.bench.figures import Figure, Reach, seconds
from hack.bench.pods import ClientPod, clear, own_namespace
from hack.bench.timed import Built, Order, Planned
from hack.cluster import pins
from hack.cluster.kubectl import Kubectl, wait_for
from hack.cluster.progress import step
from tests.support.daemons import daemon_pods
from tests.support.jobs import builder, wait_ready

BOUNDS: Final = (2, 4, None)
DAEMONS: Final = 3
CORES: Final = "400m"
"""What a daemon may compute: without a limit all of them have the same cores here, and none is ever too busy."""
DEPENDENCIES_ROUNDS: Final = 150_000
SOURCE_ROUNDS: Final = 50_000
"""Of a shell's loop, in the step that a cache spares and in the one that always runs."""

PODS: Final = dict.fromkeys(mix.PROJECTS, 1) | {"anvil": 4, "birch": 4}
"""Runner pods of each project."""

ROUNDS: Final = 3
"""How often the home daemon is filled, to see how long a client takes to another one."""

QUEUE: Final = "queue"
QUEUE_BOUND: Final = 2
QUEUE_PODS: Final = 8
QUEUE_BUILDS: Final = 3
"""Builds that each pod starts one after the other, at a daemon that has fewer places than there are pods."""
QUEUE_SECONDS: Final = 2
"""How long each of them computes nothing."""

START_SECONDS: Final = 8
"""Until all pods have been told what to do."""

_BUILD: Final = "build --progress plain --frontend dockerfile.v0 --local context=. --local dockerfile=."


def measure(kubectl: Kubectl) -> list[Figure]:
    """Run the mix with each bound, then fill one daemon alone, on a cluster that runs the operator."""
    figures = []
    with own_namespace(kubectl, "bench-bound") as team:
        for bound in BOUNDS:
            with step(f"Running {sum(mix.PROJECTS.values())} builds on {DAEMONS} daemons, {_of(bound)}"):
                figures += _mix(team, bound)
        with step("Waiting at one daemon that is full"):
            figures += _queue(team)
    return figures


def _of(bound: int | None) -> str:
    return "without a bound" if bound is None else f"maxBuilds {bound}"


def _mix(team: Kubectl, bound: int | None) -> list[Figure]:
    name = f"bound-{bound or 'none'}"
    # With claims, a daemon keeps its name, and a project the same home with each bound.
    shared = {"replicas": DAEMONS, **({} if bound is None else {"maxBuilds": bound})}
    limits = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"cpu": CORES}}
    with _shared(team, name, shared=shared, resources=limits, cache={"size": "2Gi", "persistentVolumeClaim": {}}):
        keys = [project for project, count in PODS.items() for _ in range(count)]
        pods = _pods(team, name, keys)
        _bring(pods, mix.dockerfile(pins.BUSYBOX_IMAGE, DEPENDENCIES_ROUNDS, SOURCE_ROUNDS))
        before = _by_daemon(team, name)
        built = _run(pods, _planned(keys))
        after = _by_daemon(team, name)
        figures = _mix_figures(_of(bound), built, [after[pod] - before[pod] for pod in after])
        if bound is not None:
            figures += _overflow(pods[: PODS["anvil"]], bound)
        return figures


@contextmanager
def _shared(team: Kubectl, name: str, **spec: object) -> Iterator[None]:
    """Have a shared builder within the block. Its daemons are gone when the next one's figures are taken."""
    team.apply(builder(name, **spec))
    wait_ready(team, name, 180)
    yield
    clear(team)


def _pods(team: Kubectl, name: str, keys: Sequence[str]) -> list[ClientPod]:
    """Start runner pods, each with its cache key, side by side."""
    pods = [
        ClientPod.start(team, name, connection=name, annotations={CACHE_KEY_ANNOTATION: f"org/{key}"}, wait=False)
        for key in keys
    ]
    for pod in pods:
        pod.wait_ready()
    return pods


def _bring(pods: Iterable[ClientPod], dockerfile: str) -> None:
    for pod in pods:
        pod.run(f"mkdir -p /work/source; cat >/work/source/Dockerfile <<'END'\n{dockerfile}END\n")


def _planned(keys: Sequence[str]) -> list[list[Planned]]:
    """Deal the mix's builds out to the pods of their projects in turn."""
    planned: list[list[Planned]] = [[] for _ in keys]
    for number, arrival in enumerate(mix.arrivals()):
        own = [pod for pod, key in enumerate(keys) if key == arrival.project]
        dealt = sum(len(planned[pod]) for pod in own)
        words = f"{CONNECTED} {_BUILD} --opt build-arg:PROJECT={arrival.project} --opt build-arg:SALT={number}"
        planned[own[dealt % len(own)]].append(Planned(f"{arrival.project}-{number}", arrival.at, words))
    return planned


def _run(
    pods: Sequence[ClientPod], planned: Sequence[Sequence[Planned]], *, in_turn: bool = False
) -> list[list[Built]]:
    """Have each pod start its builds, all from the same second on, and return what has come of them, by pod."""
    start = int(time.time()) + START_SECONDS
    scripts = [timed.script(start, builds, in_turn=in_turn) for builds in planned]
    with ThreadPoolExecutor(len(pods)) as runners:
        return [timed.read(said) for said in runners.map(ClientPod.run, pods, scripts)]


def _by_daemon(team: Kubectl, name: str) -> Mapping[str, int]:
    """Return how many builds each daemon has begun."""
    base = f"/api/v1/namespaces/{team.namespace}/pods"
    told = {pod: team.read(f"{base}/{pod}:{METRICS_PORT}/proxy/front") for pod in daemon_pods(team, name)}
    return {
        pod: int(re.findall(r"^buildkit_front_builds_total (\d+)$", text, re.MULTILINE)[0])
        for pod, text in sorted(told.items())
    }


def _mix_figures(how: str, by_pod: Sequence[Sequence[Built]], by_daemon: Sequence[int]) -> list[Figure]:
    built = [build for builds in by_pod for build in builds]
    lost = [build for build in built if build.is_lost]
    ran = mix.cold(built)
    waits = [build.waited for build in built]
    return [
        Figure(f"{how}: the mix, first build → end of the last", f"{max(build.ended for build in built):.0f} s"),
        Figure(f"{how}: a build", seconds([build.ended - build.came for build in built])),
        Figure(
            f"{how}: builds that hit their cache",
            f"{len(built) - ran} of {len(built)}, at most {len(built) - len(mix.PROJECTS)}: "
            f"{ran - len(mix.PROJECTS)} more came to a daemon that had not built their project",
        ),
        Figure(f"{how}: builds by daemon", " + ".join(map(str, by_daemon))),
        Figure(
            f"{how}: a build's wait for its first answer", f"{seconds(waits)}, {sum(it > 2 for it in waits)} over 2 s"
        ),
        Figure(f"{how}: builds lost", str(len(lost)), len(lost), Reach(0)),
    ]


def _overflow(pods: Sequence[ClientPod], bound: int) -> list[Figure]:
    """Time clients of one project to their daemon's first answer: while it has room, and while it has none.

    A connector that has not been refused yet by a daemon that is full finds it out by that; then it knows.
    """
    holder, *others = pods
    _bring([holder], f"FROM {pins.BUSYBOX_IMAGE}\nARG SALT\nRUN echo held $SALT; sleep 600\n")
    room, found, known = [], [], []
    for number in range(ROUNDS):
        room += [_ask(pod) for pod in others]
        with _full(holder, bound, f"{number}"):
            for pod in others:
                found.append(_ask(pod))
                known.append(_ask(pod))
    states = {"has room": room, "turns out to be full": found, "is known to be full": known}
    return [Figure(f"{_of(bound)}: connection → answer, home {how}", seconds(taken)) for how, taken in states.items()]


def _ask(pod: ClientPod) -> float:
    """Return the seconds until a question is answered, once the one before has given its place back."""
    time.sleep(1.5)
    return pod.time(f"{CONNECTED} debug workers")


@contextmanager
def _full(holder: ClientPod, builds: int, salt: str) -> Iterator[None]:
    """Have a project's daemon run so many builds within the block; afterwards its clients' connectors know of room."""
    holder.run(
        f"cd /work/source; for n in $(seq {builds}); do\n"
        f"  {CONNECTED} {_BUILD} --opt build-arg:SALT={salt}-$n >/work/held.$n 2>&1 </dev/null &\n"
        "  echo $! >>/work/held\n"
        "done"
    )

    def hold() -> bool:
        return int(holder.run(f"grep -lE '^#[0-9]+ [0-9.]+ held {salt}-' /work/held.* | wc -l")) == builds

    wait_for("its daemon is full", hold, 120)
    yield
    holder.run("kill $(cat /work/held); rm /work/held*")
    time.sleep(4)


def _queue(team: Kubectl) -> list[Figure]:
    """Have more pods than one daemon has places build one thing after the other, by connectors and by the Service."""
    figures = []
    with _shared(team, QUEUE, shared={"maxBuilds": QUEUE_BOUND}):
        pods = _pods(team, QUEUE, [QUEUE] * QUEUE_PODS)
        _bring(pods, f"FROM {pins.BUSYBOX_IMAGE}\nARG SALT\nRUN sleep {QUEUE_SECONDS} && echo built $SALT\n")
        for way, connect in (("connectors", CONNECTED), ("clients of the Service", DIRECT)):
            # Another salt each, or the second way would find the first one's builds in the cache.
            salt = way.replace(" ", "-")
            planned = [
                [
                    Planned(f"{salt}-{number}", 0, f"{connect} {_BUILD} --opt build-arg:SALT={salt}-{pod}-{number}")
                    for number in range(QUEUE_BUILDS)
                ]
                for pod in range(QUEUE_PODS)
            ]
            figures += _queue_figures(way, _run(pods, planned, in_turn=True))
    return figures


def _queue_figures(way: str, by_pod: Sequence[Sequence[Built]]) -> list[Figure]:
    how = f"{QUEUE_PODS} {way} at {QUEUE_BOUND} places"
    built = [build for builds in by_pod for build in builds]
    lost = sum(build.is_lost for build in built)
    each = [timed.mean_wait(builds) for builds in by_pod]
    return [
        Figure(f"{how}: all {len(built)} builds", f"{max(build.ended for build in built):.0f} s"),
        Figure(f"{how}: order", str(Order.of(built))),
        Figure(f"{how}: a build's wait", seconds([build.waited for build in built])),
        Figure(f"{how}: a pod's mean wait", seconds(each)),
        Figure(f"{how}: builds lost", str(lost), lost, Reach(0)),
    ]
