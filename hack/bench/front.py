"""Cost of what a build's bytes pass: a context to a daemon with TLS of its own, to a front, and through a connector."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.kube.resources import Manifest
from hack.bench.builds import CONNECTED, CONTEXT, COPY, DIRECT
from hack.bench.figures import Figure, Reach, seconds
from hack.bench.pods import ClientPod, Usage, own_namespace, usage
from hack.cluster import pins
from hack.cluster.kubectl import Kubectl, wait_for
from hack.cluster.progress import step
from tests.support.daemons import daemon_pods
from tests.support.jobs import builder, gated, open_gate, wait_ready

BUILDER: Final = "bench-front"
PLAIN: Final = "plain"
"""Pod of a daemon as BuildKit's own examples for Kubernetes have it, with TLS of its own."""
PORT: Final = 1234

PROCESSES: Final = ("client", "connector", "front", "daemon")
"""What has something to do while a context is sent."""
REACH: Final = Reach(1.05)
"""Of the way through connector and front over that to a daemon with TLS of its own, where each process has a core."""
REACH_ON_FEW_CORES: Final = Reach(1.20)

BUILDS: Final = 8
"""Builds that run at the same time when memory is looked at."""

PROXIES: Final = (names.CONNECTOR, names.FRONT)


def measure(kubectl: Kubectl, runs: int) -> list[Figure]:
    """Send the context so many times on each way, then look at the memory of the proxies, on a cluster."""
    with own_namespace(kubectl, "bench-front") as team:
        with step("Making a shared builder, and a daemon with TLS of its own"):
            place = _Place.make(team)
        with step(f"Sending a context of 200 MB {runs} times on each of three ways"):
            place.send(runs)
        with step(f"Running {BUILDS} builds at the same time"):
            memory = place.run_builds()
        return [*_times(place.ways, _cores(team)), *_processor(place.ways), *memory]


@dataclass
class _Way:
    """A way to a daemon, and what a context has taken on it each time."""

    build: str
    """Command line up to the verb."""
    passes: tuple[str, ...]
    """Containers of the proxies on the way."""
    seconds: list[float] = field(default_factory=list)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    """Seconds of processor time, by the container."""


@dataclass(frozen=True)
class _Place:
    """A client, and two daemons on the same node: one behind a front, one without."""

    client: ClientPod
    daemon: str
    ways: Mapping[str, _Way]

    @classmethod
    def make(cls, team: Kubectl) -> "_Place":
        team.apply(builder(BUILDER, cache={"size": "10Gi"}))
        wait_ready(team, BUILDER, 180)
        (daemon,) = daemon_pods(team, BUILDER)
        team.apply(_plain())
        client = ClientPod.start(team, BUILDER, connection=BUILDER)
        team("wait", "--for=condition=Ready", f"pod/{PLAIN}", "--timeout=120s", timeout=130)
        address = f"tcp://{team.get('pod', PLAIN)['status']['podIP']}:{PORT}"
        # Its certificate is the front's.
        host = f"{names.daemon(BUILDER)}.{team.namespace}.svc"
        plain = f"buildctl --addr {address} --tlsservername {host} --tlsdir /etc/buildkit"
        client.run(f"until {plain} debug workers >/dev/null; do sleep 0.5; done; {CONTEXT}")
        ways = {
            "to a daemon with TLS of its own": _Way(plain, ()),
            "to a front": _Way(DIRECT, (names.FRONT,)),
            "through connector and front": _Way(CONNECTED, PROXIES),
        }
        return cls(client, daemon, ways)

    def send(self, runs: int) -> None:
        """Send the context on each way in turn; each is as often the first of its round as any other."""
        ways = list(self.ways.values())
        for number in range(runs + 1):
            first = number % len(ways)
            for way in (*ways[first:], *ways[:first]):
                # A file whose time has changed is sent again.
                self.client.run("touch /work/copy/big; sleep 1")
                before = {name: self.usage(name) for name in way.passes}
                taken = self.client.time(f"{way.build} {COPY}")
                if number:  # the first ones warm everything up
                    way.seconds.append(taken)
                    for name, used in before.items():
                        way.cpu.setdefault(name, []).append(self.usage(name).cpu - used.cpu)

    def usage(self, proxy: str) -> Usage:
        pod = self.client.name if proxy == names.CONNECTOR else self.daemon
        return usage(self.client.team, pod, proxy, "haproxy")

    def run_builds(self) -> list[Figure]:
        """Return the proxies' memory at rest after the contexts, and with builds that run at the same time."""
        idle = {proxy: self.usage(proxy) for proxy in PROXIES}
        dockerfile = gated(self.client.team)["Dockerfile"]
        build = f"{CONNECTED} build --progress plain --frontend dockerfile.v0"
        self.client.run(
            f"mkdir /work/gated; cd /work/gated; cat >Dockerfile <<'END'\n{dockerfile}END\n"
            f"for n in $(seq {BUILDS}); do\n"
            f"  {build} --local context=. --local dockerfile=. --opt build-arg:SALT=$n >/work/log.$n 2>&1 &\n"
            "done >/dev/null 2>&1 </dev/null"
        )
        wait_for("all builds run", lambda: self._count("begun") == BUILDS, 120)
        time.sleep(2)
        busy = {proxy: self.usage(proxy) for proxy in PROXIES}
        open_gate(self.client.team)
        wait_for("all builds have ended", lambda: self._count("ended") == BUILDS, 120)
        return [_memory(proxy, idle[proxy], busy[proxy]) for proxy in PROXIES]

    def _count(self, word: str) -> int:
        """Return how many builds have printed it, beside their command."""
        return int(self.client.run(f"grep -lE '^#[0-9]+ [0-9.]+ {word} ' /work/log.* | wc -l"))


def _plain() -> Manifest:
    """Return a daemon's pod, with the certificate of the front, whose files it reads itself."""
    folder = "/etc/tls"
    unconfined = {"type": "Unconfined"}
    tls = {"tlscacert": "ca.crt", "tlscert": "tls.crt", "tlskey": "tls.key"}
    container = {
        "name": "buildkitd",
        "image": pins.BUILDKIT_IMAGE,
        "args": [
            f"--addr=tcp://0.0.0.0:{PORT}",
            *(f"--{option}={folder}/{file}" for option, file in tls.items()),
            "--oci-worker-no-process-sandbox",
        ],
        "securityContext": {
            "runAsUser": 1000,
            "runAsGroup": 1000,
            "seccompProfile": unconfined,
            "appArmorProfile": unconfined,
        },
        "volumeMounts": [
            {"name": "tls", "mountPath": folder},
            {"name": "state", "mountPath": "/home/user/.local/share/buildkit"},
        ],
    }
    volumes = [
        {"name": "tls", "secret": {"secretName": names.server_secret(BUILDER)}},
        {"name": "state", "emptyDir": {}},
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": PLAIN},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container], "volumes": volumes},
    }


def _cores(team: Kubectl) -> int:
    """Return how many cores the smallest node has."""
    return min(int(node["status"]["capacity"]["cpu"]) for node in team.get("nodes"))


def _times(ways: Mapping[str, _Way], cores: int) -> list[Figure]:
    straight, *others = [median(way.seconds) for way in ways.values()]
    _, fronted, connected = ways
    to_front, through_both = (other / straight for other in others)
    has_each_a_core = cores >= len(PROCESSES)
    share = "each has one" if has_each_a_core else "they share them"
    return [
        Figure(f"cores for {', '.join(PROCESSES)}", f"{cores}: {share}"),
        *(Figure(f"200 MB context, {name}", seconds(way.seconds)) for name, way in ways.items()),
        Figure(f"{fronted}, over a daemon with TLS of its own", f"{to_front:.3f}"),
        Figure(
            f"{connected}, over a daemon with TLS of its own",
            f"{through_both:.3f}",
            through_both,
            REACH if has_each_a_core else REACH_ON_FEW_CORES,
        ),
    ]


def _processor(ways: Mapping[str, _Way]) -> list[Figure]:
    return [
        Figure(f"processor time of {proxy}, 200 MB context {name}", seconds(taken))
        for name, way in ways.items()
        for proxy, taken in way.cpu.items()
    ]


def _memory(proxy: str, idle: Usage, busy: Usage) -> Figure:
    """Tell the memory of HAProxy's two processes: the master, and the worker."""
    return Figure(
        f"memory of {proxy}: at rest → with {BUILDS} builds",
        f"resident {idle.resident:.1f} → {busy.resident:.1f} MiB (in no file {idle.own:.1f} → {busy.own:.1f}, "
        f"at most {busy.peak:.1f}), container's working set {idle.working_set:.1f} → {busy.working_set:.1f} MiB",
    )
