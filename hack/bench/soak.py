"""A soak test: builds without a break from several clients, while their shared builder is disturbed in every way.

It has a bound on its builds, so that clients overflow and wait all the while.
"""

import itertools
import json
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from buildkit_operator.kube.resources import Manifest
from hack.bench.figures import Figure, Reach
from hack.cluster import pins
from hack.cluster.installation import OPERATOR
from hack.cluster.kubectl import Kubectl, wait_for
from hack.cluster.progress import step
from tests.support.daemons import daemon_pods, evict, kill_daemon
from tests.support.jobs import Job, builder, wait_ready
from tests.support.runners import BUILD, Runner
from tests.support.runners import step as container

BUILDER: Final = "soak"
CONNECTED: Final = 3
"""Clients that build through the connector; one more comes by the Service, as jobs outside injection do."""

FILES: Final = {"Dockerfile": f"FROM {pins.PYTHON_IMAGE}\nARG SALT\nRUN sleep 3 && echo $SALT > /salt\n"}
PUSH: Final = "--output type=image,name=$REGISTRY/org/soak:$(hostname),push=true"

LOOP: Final = """
n=0
until [ -e /tmp/stop ]; do
  if [ -e /tmp/pause ]; then sleep 0.2; continue; fi
  n=$((n + 1))
  echo "started $n"
  if {build} --opt build-arg:SALT=$(hostname)-$n {push} >/tmp/log 2>&1; then
    echo "finished $n"
  else
    echo "lost $n: $(grep -v '^#' /tmp/log | tail -n 1)"
    sleep 1
  fi
done
"""
DIRECT: Final = "buildctl --addr $BUILDKIT_HOST --tlsdir /etc/buildkit build --frontend dockerfile.v0 \
--local context=/workspace --local dockerfile=/workspace"

Disturbance = Callable[["_Soak", int], None]


def measure(kubectl: Kubectl, rounds: int) -> list[Figure]:
    """Disturb a builder so many times, then crash a daemon, on a cluster that runs the operator."""
    team = kubectl.create_namespace("bench-soak")
    try:
        with step("Making a shared builder and its clients"):
            team.apply(_builder())
            wait_ready(team, BUILDER)
            clients = _start_clients(team)
            _wait_for_builds(clients)
        with step(f"Disturbing it {rounds} times, with {len(clients)} clients that build all the time"):
            done = _disturb(_Soak(team, clients), rounds)
            calm = _Tally.of(clients)
        with step("Killing a daemon in the middle of its builds"):
            _crash(team, clients)
            crashed = _Tally.of(clients)
        for client in clients:
            client.stop()
        return _figures(done, calm, crashed)
    finally:
        kubectl("delete", "namespace", team.namespace, timeout=300)


def _builder() -> Manifest:
    # Of four clients one has to go to the other daemon at times, and with one daemon two of them wait.
    return builder(BUILDER, shared={"replicas": 2, "maxBuilds": 2, "drainTimeoutSeconds": 120})


@dataclass(frozen=True)
class _Soak:
    """What is disturbed."""

    team: Kubectl
    clients: "list[_Client]"


def _patch(team: Kubectl, spec: Manifest) -> None:
    team("patch", "bkb", BUILDER, "--type=merge", f"--patch={json.dumps({'spec': spec})}")


def _roll_configuration(soak: _Soak, number: int) -> None:
    _patch(soak.team, {"daemon": {"maxParallelism": 100 + number}})


def _change_certificate(soak: _Soak, number: int) -> None:
    _patch(soak.team, {"shared": {"tls": {"dnsNames": [f"soak-{number}.example.com"]}}})


def _scale(soak: _Soak, _number: int) -> None:
    soak.team("scale", "bkb", BUILDER, "--replicas=1")
    wait_ready(soak.team, BUILDER, 300)
    soak.team("scale", "bkb", BUILDER, "--replicas=2")


def _scale_to_zero(soak: _Soak, _number: int) -> None:
    """Take all daemons away while builds come; but by the Service none does, as it would be refused: nobody listens."""
    *_, direct = soak.clients
    direct.pause()
    soak.team("scale", "bkb", BUILDER, "--replicas=0")
    wait_for("no daemon is left", lambda: not daemon_pods(soak.team), 300)
    soak.team("scale", "bkb", BUILDER, "--replicas=2")
    wait_ready(soak.team, BUILDER, 300)
    direct.go_on()


def _change_bound(soak: _Soak, number: int) -> None:
    _patch(soak.team, {"shared": {"maxBuilds": 1 + number % 3}})


def _evict(soak: _Soak, number: int) -> None:
    pods = daemon_pods(soak.team)
    evict(soak.team, pods[number % len(pods)])


def _kill_operator(soak: _Soak, number: int) -> None:
    _roll_configuration(soak, number)
    soak.team.within(OPERATOR)(
        "delete", "pod", "--selector=app.kubernetes.io/name=buildkit-operator", "--grace-period=0", "--force"
    )


DISTURBANCES: Final[Mapping[str, Disturbance]] = {
    "roll by configuration": _roll_configuration,
    "another certificate": _change_certificate,
    "another bound": _change_bound,
    "scale-down and -up": _scale,
    "scale to zero and back": _scale_to_zero,
    "eviction": _evict,
    "operator killed in a roll": _kill_operator,
}


@dataclass
class _Client:
    """A pod that builds one image after the other, and prints how each went."""

    team: Kubectl
    pod: str

    def log(self) -> str:
        return self.team("logs", self.pod, "--container=job")

    def count(self, what: str) -> int:
        """Return how many of its builds were told to be this; the shell's trace of what it does is not meant."""
        return len(re.findall(rf"^(?:{what}) ", self.log(), re.MULTILINE))

    def state(self) -> str:
        """Return the end of what its build, and the connector before it, say."""
        build = self.team("exec", self.pod, "--container=job", "--", "tail", "-n", "20", "/tmp/log")
        sidecars = self.team("logs", self.pod, "--all-containers", "--prefix", "--tail=20")
        return f"{self.pod}:\n{build}\n{sidecars}"

    def pause(self) -> None:
        """Have it begin no build, and wait for the end of the one that runs."""
        self.team("exec", self.pod, "--container=job", "--", "touch", "/tmp/pause")
        wait_for("its build has ended", lambda: self.count("started") == self.count("finished|lost"), 300)

    def go_on(self) -> None:
        self.team("exec", self.pod, "--container=job", "--", "rm", "/tmp/pause")

    def stop(self) -> None:
        self.team("exec", self.pod, "--container=job", "--", "touch", "/tmp/stop")


@dataclass
class _Tally:
    """How the clients' builds went so far; those that still run are only started."""

    started: int = 0
    finished: int = 0
    lost: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, clients: list[_Client]) -> "_Tally":
        tally = cls()
        for client in clients:
            log = client.log()
            tally.started += len(re.findall(r"^started ", log, re.MULTILINE))
            tally.finished += len(re.findall(r"^finished ", log, re.MULTILINE))
            tally.lost += re.findall(r"^lost (.*)", log, re.MULTILINE)
        return tally


def _start_clients(team: Kubectl) -> list[_Client]:
    def loop(build: str) -> str:
        return LOOP.format(build=build, push=PUSH)

    env = [{"name": "REGISTRY", "value": "registry.registry.svc:5000"}]
    connected = [
        Runner.start(team, container(loop(BUILD), env=env), asks_for=BUILDER, files=FILES).name
        for _ in range(CONNECTED)
    ]
    direct = Job.start(team, loop(DIRECT), files=FILES, connection=f"{BUILDER}-connection").name
    for name in (*connected, direct):
        team("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=120s", timeout=130)
    return [_Client(team, name) for name in (*connected, direct)]


def _wait_for_builds(clients: list[_Client], seconds: float = 240) -> None:
    """Wait until a build has ended, well or not, that each client began after now."""
    begun = {client.pod: client.count("started") for client in clients}

    def behind() -> list[_Client]:
        return [client for client in clients if client.count("finished|lost") <= begun[client.pod]]

    try:
        wait_for("every client has built again", lambda: not behind(), seconds)
    except TimeoutError as error:
        error.add_note("\n".join(client.state() for client in behind()))
        raise


def _disturb(soak: _Soak, rounds: int) -> Counter[str]:
    done: Counter[str] = Counter()
    for number, (name, disturb) in zip(range(1, rounds + 1), itertools.cycle(DISTURBANCES.items())):
        disturb(soak, number)
        wait_ready(soak.team, BUILDER, 600)
        _wait_for_builds(soak.clients)
        done[name] += 1
        lost = len(_Tally.of(soak.clients).lost)
        print(f"{time.strftime('%H:%M:%S')} {number}: {name}; builds lost: {lost}", flush=True)
    return done


def _crash(team: Kubectl, clients: list[_Client]) -> None:
    """End a daemon as the kernel would, without a signal that it could heed."""
    pod, *_ = daemon_pods(team)
    kill_daemon(team, pod)
    wait_ready(team, BUILDER, 300)
    _wait_for_builds(clients)


def _figures(done: Counter[str], calm: _Tally, crashed: _Tally) -> list[Figure]:
    rounds = ", ".join(f"{count} {name}" for name, count in done.items())
    lost = len(calm.lost)
    by_crash = crashed.lost[lost:]
    return [
        Figure(f"builds started in {sum(done.values())} rounds ({rounds})", str(calm.started)),
        Figure("finished; the others still ran", str(calm.finished)),
        Figure("lost", f"{lost} {'; '.join(calm.lost)}".strip(), lost, Reach(0)),
        Figure("builds lost to a daemon killed", f"{len(by_crash)} {'; '.join(by_crash)}".strip()),
    ]
