"""Build times: through the connector, over direct mTLS, and of one real project with each kind of cache."""

import re
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from buildkit_operator.kube.resources import Manifest
from hack.bench.figures import Figure, Reach, seconds
from hack.bench.pods import WORK, ClientPod, own_namespace
from hack.bench.ways import DIND
from hack.cluster import cluster, pins
from hack.cluster.installation import REGISTRY
from hack.cluster.kubectl import Kubectl, wait_for
from hack.cluster.progress import step
from tests.support.daemons import daemon_pods
from tests.support.jobs import builder, wait_ready
from tests.support.runners import LABEL, SOCKET, sidecar

TOP: Final = Path(__file__).parents[2]
PROJECT: Final = ("deploy", "operator", "pyproject.toml", "README.md", "LICENSE")
"""What the operator's own image is built from: two stages, forty packages."""

SHARED: Final = "bench-shared"
CLAIMED: Final = "bench-claimed"
SIDECAR: Final = "bench-sidecar"
CONTEXT_BYTES: Final = 200_000_000
REACH: Final = Reach(1.05)

CONNECTED: Final = f"buildctl --addr {SOCKET}"
DIRECT: Final = "buildctl --addr $(cat /etc/buildkit/BUILDKIT_HOST) --tlsdir /etc/buildkit"
CONTEXT: Final = (
    f"mkdir /work/copy && cd /work/copy && head -c {CONTEXT_BYTES} /dev/urandom >big "
    "&& printf 'FROM scratch\\nCOPY big /\\n' >Dockerfile"
)
COPY: Final = "build --frontend dockerfile.v0 --local context=/work/copy --local dockerfile=/work/copy"
BUILD: Final = (
    "build --frontend dockerfile.v0 --local context=/work --local dockerfile=/work/deploy "
    f"--opt build-arg:BASE={pins.PYTHON_IMAGE} --output type=image,name={REGISTRY}/bench/operator:latest,push=true"
)
REGISTRY_CACHE: Final = f"type=registry,ref={REGISTRY}/bench/cache:latest"
LOCAL_CACHE: Final = "type=local,{}=/mnt/buildkit-cache"


def measure(kubectl: Kubectl, runs: int) -> list[Figure]:
    """Build in each way, on a cluster that runs the operator."""
    cluster.up().load_dind()
    with own_namespace(kubectl, "bench-builds") as team:
        team.apply(
            builder(SHARED, cache={"size": "10Gi"}, injection=_LOCAL),
            builder(CLAIMED, cache={"size": "10Gi", "persistentVolumeClaim": {}}),
            sidecar(SIDECAR, injection=_LOCAL),
            _CLAIM,
        )
        for name in (SHARED, CLAIMED, SIDECAR):
            wait_ready(team, name, 180)
        return [*_connector(team, runs), *_caches(team)]


_LOCAL: Final = {"localCache": {"claimName": "bench-local"}}
_CLAIM: Final[Manifest] = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "bench-local"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def _client(team: Kubectl, asks_for: str | None, job: Manifest | None = None, **spec: Any) -> ClientPod:
    return ClientPod.start(team, asks_for, connection=SHARED, job=job, **spec)


def _bring_project(client: ClientPod) -> None:
    """Copy the project into the pod, as a runner's checkout does."""
    packed = subprocess.run(["tar", "--create", *PROJECT], cwd=TOP, capture_output=True, check=True).stdout
    command = client.team.command("exec", "--stdin", client.name, "--container=job", "--", "tar", "-x", "-C", "/work")
    subprocess.run(command, input=packed, check=True)


def _connector(team: Kubectl, runs: int) -> list[Figure]:
    """Send a context of CONTEXT_BYTES by the connector and directly, from the same pod and in turn."""
    with step(f"Sending a context of 200 MB {runs} times in each of two ways"):
        client = _client(team, SHARED)
        client.run(CONTEXT)
        times: dict[str, list[float]] = {CONNECTED: [], DIRECT: []}
        for number in range(runs + 1):
            for way in times if number % 2 else reversed(times):
                # A file whose time has changed is sent again.
                client.run("touch /work/copy/big; sleep 1")
                taken = client.time(f"{way} {COPY}")
                if number:  # the first builds warm everything up
                    times[way].append(taken)
        client.end()
    connected, straight = times[CONNECTED], times[DIRECT]
    ratio = median(connected) / median(straight)
    return [
        Figure("200 MB context, direct mTLS", seconds(straight)),
        Figure("200 MB context, through the connector", seconds(connected)),
        Figure("through the connector over direct", f"{ratio:.3f}", ratio, REACH),
    ]


def _caches(team: Kubectl) -> list[Figure]:
    """Build the project in each mode with each kind of cache, what the daemon itself remembers thrown away before."""
    figures = []
    for what, name in (("Shared", SHARED), ("Sidecar", SIDECAR)):
        with step(f"Building one project with each kind of cache, mode {what}"):
            figures += [Figure(f"{what}: {how}", f"{taken:.1f} s") for how, taken in _in_mode(team, name).items()]
    with step("Building it on a claim that a new pod takes over"):
        figures.append(Figure("Shared: a claim's cache, daemon's pod replaced", f"{_claim_warm(team):.1f} s"))
    with step("Building it with a privileged dind sidecar"):
        figures.append(Figure("dind sidecar: cold", f"{_dind(team):.1f} s"))
    return figures


def _in_mode(team: Kubectl, name: str) -> Mapping[str, float]:
    client = _client(team, name)
    _bring_project(client)
    prune = f"{CONNECTED} prune --all >/dev/null"
    exports = f"--export-cache {REGISTRY_CACHE},mode=max --export-cache {LOCAL_CACHE.format('dest')},mode=max"
    client.run(prune)
    times = {"cold": client.time(f"{CONNECTED} {BUILD}"), "the daemon's own cache": client.time(f"{CONNECTED} {BUILD}")}
    client.run(f"{CONNECTED} {BUILD} {exports} >/tmp/log 2>&1 || {{ cat /tmp/log >&2; exit 1; }}")
    for how, source in (("registry cache", REGISTRY_CACHE), ("local cache", LOCAL_CACHE.format("src"))):
        client.run(prune)
        times[how] = client.time(f"{CONNECTED} {BUILD} --import-cache {source}")
    client.end()
    return times


def _claim_warm(team: Kubectl) -> float:
    """Build, replace the daemon's pod, and return the seconds that the same build takes from a new runner pod."""
    first = _client(team, CLAIMED)
    _bring_project(first)
    first.time(f"{CONNECTED} {BUILD}")
    first.end()
    team("delete", "pod", *daemon_pods(team, CLAIMED))
    wait_ready(team, CLAIMED, 180)
    second = _client(team, CLAIMED)
    _bring_project(second)
    taken = second.time(f"{CONNECTED} {BUILD}")
    second.end()
    return taken


def _dind(team: Kubectl) -> float:
    assert DIND.sidecar is not None
    base = f"{REGISTRY}/{pins.PYTHON_IMAGE.removeprefix('docker.io/')}"
    # With the scheme, or Docker's BuildKit asks by HTTPS alone.
    insecure = f"--insecure-registry=http://{REGISTRY}"
    daemon = {"restartPolicy": "Always", **DIND.sidecar, "args": [*DIND.sidecar["args"], insecure]}
    mounts: Sequence[Manifest] = [*DIND.job["volumeMounts"], WORK]
    job = {"image": pins.DOCKER_IMAGE, "env": DIND.job["env"], "volumeMounts": mounts}
    client = _client(team, None, job, initContainers=[daemon], volumes=DIND.volumes)
    _bring_project(client)
    image = f"{REGISTRY}/bench/dind:latest"
    build = f"docker build --file /work/deploy/Dockerfile --build-arg BASE={base} --tag {image} /work"
    taken = client.time(f"{{ {build} && docker push {image}; }}")
    client.end()
    return taken


def share_of_hits(kubectl: Kubectl, projects: int) -> list[Figure]:
    """Build so many projects twice, each time from a new pod, with three replicas: how many hit their cache."""
    with own_namespace(kubectl, "bench-hits") as team:
        team.apply(builder(SHARED, shared={"replicas": 3}))
        wait_ready(team, SHARED, 180)
        with step(f"Building {projects} projects twice, by the connector's hash and at random"):
            hashed = sum(_hits(team, f"hashed-{n}", connected=True) for n in range(projects))
            random = sum(_hits(team, f"random-{n}", connected=False) for n in range(projects))
    return [
        Figure("builds that hit their cache, 3 replicas, by the connector's hash", f"{hashed} of {projects}"),
        Figure("builds that hit their cache, 3 replicas, by the Service at random", f"{random} of {projects}"),
    ]


def _hits(team: Kubectl, project: str, *, connected: bool) -> bool:
    """Build a project from two pods, one after the other, and tell whether the second had its step from the cache."""
    logs = [_build_once(team, project, connected=connected) for _ in range(2)]
    # FROM is CACHED wherever the base has been pulled; a step that runs shows what it prints, with its time.
    first, second = (re.search(rf"^#\d+ [\d.]+ {project}$", log, re.MULTILINE) for log in logs)
    assert first, logs[0]
    return second is None


def _build_once(team: Kubectl, project: str, *, connected: bool) -> str:
    name = f"{project}-{uuid.uuid4().hex[:5]}"
    way = CONNECTED if connected else DIRECT
    dockerfile = f"FROM {pins.PYTHON_IMAGE}\\nRUN echo {project}\\n"
    script = (
        f"mkdir /tmp/c && cd /tmp/c && printf '{dockerfile}' >Dockerfile && "
        f"{way} build --progress plain --frontend dockerfile.v0 --local context=. --local dockerfile=."
    )
    pod: Manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {LABEL: SHARED} if connected else {},
            "annotations": {"buildkit-operator.dev/cache-key": project},
        },
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "job",
                    "image": pins.BUILDKIT_IMAGE,
                    "command": ["sh", "-ec", script],
                    "volumeMounts": [{"name": "connection", "mountPath": "/etc/buildkit"}],
                }
            ],
            "volumes": [{"name": "connection", "secret": {"secretName": f"{SHARED}-connection"}}],
        },
    }
    team.apply(pod)
    phases = {"Succeeded", "Failed"}
    phase = wait_for(
        f"{name} ends", lambda: (found := team.get("pod", name)["status"].get("phase")) in phases and found, 180
    )
    log = team("logs", name, "--container=job")
    assert phase == "Succeeded", log
    team("delete", "pod", name, "--wait=false")
    return log
