"""The soak test's builders: what builds with each, and what is done to it meanwhile, one thing after the other."""

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from buildkit_operator.kube.resources import Manifest
from hack.bench.soak.clients import BUILD_SECONDS, Client
from hack.bench.soak.tally import Build, Kill
from hack.cluster.kubectl import Kubectl, KubectlError, wait_for
from tests.support.daemons import daemon_pods, evict, kill_daemon
from tests.support.jobs import builder, wait_ready, wait_reason

SETTLED_SECONDS: Final = 600
"""How long a builder may take until it is as it was last told to be; a rollout waits for builds."""

SMALL: Final[Manifest] = {"requests": {"cpu": "100m", "memory": "64Mi"}}
"""Daemons with this find room beside each other on two cores.

With less, a busy machine leaves one without time for longer than BuildKit's client waits for its first words, which are
10 seconds (the preface of HTTP/2 in golang.org/x/net): the build is lost.
"""

Now = Callable[[], bool]
"""Whether there is time left."""


class Lane(Protocol):
    """Something that goes on for as long as there is time, beside others."""

    name: str
    done: Counter[str]

    def start(self) -> None:
        """Make what it needs."""
        ...

    def go_on(self, has_time: Now) -> None:
        """Disturb, and wait until builds have gone on after it."""
        ...

    def end(self) -> None:
        """Let the builds that run come to their end."""
        ...


@dataclass
class _Builder:
    """A builder, its clients, and how often what was done to it."""

    team: Kubectl
    name: str
    done: Counter[str] = field(default_factory=Counter)
    clients: list[Client] = field(default_factory=list)
    kills: list[Kill] = field(default_factory=list)

    def builds(self) -> list[Build]:
        """Return its clients' builds, as far as their logs were looked at."""
        return [build for client in self.clients for build in client.last_builds()]

    def settle(self) -> None:
        wait_ready(self.team, self.name, SETTLED_SECONDS)

    def change(self, **spec: Any) -> None:
        patch = json.dumps({"spec": spec})
        self.team("patch", "bkb", self.name, "--type=merge", f"--patch={patch}")

    def scale(self, replicas: int) -> None:
        self.team("scale", "bkb", self.name, f"--replicas={replicas}")

    def kill(self, pod: str, client: str | None = None) -> None:
        """Kill a daemon, as the kernel does for want of memory; not one that is just not there."""
        second = int(time.time())
        try:
            kill_daemon(self.team, pod)
        except KubectlError:
            return
        self.kills.append(Kill(self.name, second, client))


class Shared(_Builder):
    """Two daemons with a bound and four clients that build all the time, three of them by connectors.

    One of them has to go to the other daemon at times, and with one daemon two of them wait.
    """

    def start(self) -> None:
        shared = {"replicas": 2, "maxBuilds": 2, "drainTimeoutSeconds": 120}
        self.team.apply(builder(self.name, shared=shared, resources=SMALL))
        self.settle()
        self.clients += [Client.inside(self.team, self.name) for _ in range(3)]
        self.clients.append(Client.outside(self.team, self.name))
        self.wait_for_builds()

    def go_on(self, has_time: Now) -> None:
        disturbances: Mapping[str, Callable[[int], None]] = {
            "roll by configuration": lambda number: self.change(daemon={"maxParallelism": 100 + number}),
            "certificate renewed": self._renew_certificate,
            "another bound": lambda number: self.change(shared={"maxBuilds": 1 + number % 3}),
            "scale-down and -up": self._scale,
            "scale to zero and back": self._scale_to_zero,
            "eviction": self._evict,
            "daemon killed": self._kill,
        }
        for number, (name, disturb) in enumerate(itertools.cycle(disturbances.items())):
            if not has_time():
                return
            disturb(number)
            self.settle()
            self.wait_for_builds()
            self.done[name] += 1

    def end(self) -> None:
        for client in self.clients:
            client.stop()
        for client in self.clients:
            client.wait_end()

    def wait_for_builds(self) -> None:
        for client in self.clients:
            client.wait_for_build()

    def _renew_certificate(self, number: int) -> None:
        """Have the operator issue the daemons' certificate anew, at once: for another name."""
        self.change(shared={"tls": {"dnsNames": [f"soak-{number}.example.com"]}})

    def _scale(self, _number: int) -> None:
        self.scale(1)
        self.settle()
        self.scale(2)

    def _scale_to_zero(self, _number: int) -> None:
        """Take all daemons away while builds come; but none by the Service, which nobody answers for then."""
        *_, direct = self.clients
        direct.pause()
        self.scale(0)
        wait_for("no daemon is left", lambda: not daemon_pods(self.team, self.name), SETTLED_SECONDS)
        self.scale(2)
        self.settle()
        direct.go_on()

    def _evict(self, number: int) -> None:
        pods = daemon_pods(self.team, self.name)
        evict(self.team, pods[number % len(pods)])

    def _kill(self, number: int) -> None:
        pods = daemon_pods(self.team, self.name)
        self.kill(pods[number % len(pods)])


@dataclass
class _Jobs(_Builder):
    """A builder whose clients are jobs that come in bursts, each a pod of its own."""

    spec: Manifest = field(default_factory=dict)
    burst: int = 2
    builds_of_a_job: int = 2

    def start(self) -> None:
        self.team.apply(builder(self.name, resources=SMALL, **self.spec))

    def go_on(self, has_time: Now) -> None:
        disturbances = self.disturbances()
        for number, (name, disturb) in enumerate(itertools.cycle(disturbances.items())):
            if not has_time():
                return
            jobs = [Client.inside(self.team, self.name, self.builds_of_a_job) for _ in range(self.burst)]
            self.clients += jobs
            disturb(number, jobs)
            for job in jobs:
                job.wait_end()
                self.team("delete", "pod", job.pod, "--ignore-not-found", "--wait=false")
            self.rest()
            self.done[name] += 1

    def end(self) -> None:
        """All jobs of a burst have been waited for."""

    def disturbances(self) -> Mapping[str, Callable[[int, Sequence[Client]], None]]:
        raise NotImplementedError

    def rest(self) -> None:
        """Wait before the next burst."""


class Scaled(_Jobs):
    """Daemons by demand: each burst finds none, and none is left after it."""

    def start(self) -> None:
        super().start()
        self.rest()

    def disturbances(self) -> Mapping[str, Callable[[int, Sequence[Client]], None]]:
        return {
            "burst at zero daemons": lambda _number, _jobs: None,
            "burst, and a roll by configuration": lambda number, _jobs: self._roll(number),
        }

    def rest(self) -> None:
        wait_reason(self.team, "ScaledToZero", self.name, SETTLED_SECONDS)

    def _roll(self, number: int) -> None:
        wait_for("a daemon comes", lambda: daemon_pods(self.team, self.name), BUILD_SECONDS)
        self.change(daemon={"maxParallelism": 100 + number})


class Sidecars(_Jobs):
    """A daemon in each job's pod."""

    def start(self) -> None:
        super().start()
        self.settle()

    def disturbances(self) -> Mapping[str, Callable[[int, Sequence[Client]], None]]:
        return {
            "jobs with sidecars": lambda _number, _jobs: None,
            "jobs with sidecars, and another spec": lambda number, _jobs: self._edit(number),
            "jobs with sidecars, a daemon killed": lambda _number, jobs: self._kill_one(jobs),
        }

    def _edit(self, number: int) -> None:
        self.change(daemon={"maxParallelism": 100 + number})
        self.settle()

    def _kill_one(self, jobs: Sequence[Client]) -> None:
        job = jobs[0]
        job.wait_running()
        self.kill(job.pod, job.pod)


def builders(team: Kubectl) -> list[Shared | Scaled | Sidecars]:
    """Return those of the soak test, in one namespace."""
    autoscaling = {"minReplicas": 0, "maxReplicas": 2, "runnersPerReplica": 2, "idleSeconds": 5}
    return [
        Shared(team, "shared"),
        Scaled(team, "scaled", spec={"shared": {"autoscaling": autoscaling, "maxBuilds": 1}}, burst=3),
        Sidecars(team, "sidecars", spec={"mode": "Sidecar"}),
    ]
