"""Builds in flight, of several clients, while their daemons are replaced, taken away or killed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from buildkit_operator.kube.resources import Manifest
from hack.cluster import pins
from hack.cluster.installation import REGISTRY, tags
from hack.cluster.kubectl import Kubectl, wait_for
from tests.support.daemons import daemon_pods, ending_daemons, evict, kill_daemon
from tests.support.jobs import BUILD, Job, JobError, builder, gated, open_gate, run, wait_ready
from tests.support.runners import BUILD as CONNECTED_BUILD
from tests.support.runners import Runner, step

SMALL = {"requests": {"cpu": "10m", "memory": "64Mi"}}
KEYS = ("org/one", "org/two", "org/three")

OTHER_IMAGE = pins.BUILDKIT_IMAGE.removeprefix("docker.io/")
"""The same image by its short name."""


def pair(**spec: Any) -> Manifest:
    shared = {"replicas": 2, **spec.pop("shared", {})}
    return builder(shared=shared, resources=SMALL, **spec)


@dataclass
class Clients:
    """Jobs in the middle of a build each, until the gate opens: one with the Secret, and some with a connector."""

    direct: Job
    connected: list[Runner]

    @classmethod
    def begin(cls, team: Kubectl) -> "Clients":
        """Start them all, and return when each of their build steps runs."""
        direct = Job.start(team, f"{BUILD} --opt build-arg:SALT=direct {_push('direct')}", files=gated(team))
        connected = []
        for number, key in enumerate(KEYS):
            labels = {"buildkit-operator.dev/builder": "demo"}
            metadata = {"labels": labels, "annotations": {"buildkit-operator.dev/cache-key": key}}
            script = f"{CONNECTED_BUILD} --opt build-arg:SALT={number} {_push(str(number))}"
            connected.append(Runner.start(team, step(script), files=gated(team), metadata=metadata))
        direct.wait_log("begun direct")
        for number, runner in enumerate(connected):
            runner.wait_log(f"begun {number}")
        return cls(direct, connected)

    def finish(self) -> None:
        """Wait for the end of all builds. Fails if one is lost, or was run twice."""
        for salt, log in self._logs():
            assert log.count(f"ended {salt}\n") == 1, log
        assert {f"in-flight-{salt}" for salt in ("direct", "0", "1", "2")} <= set(tags(self.direct.kubectl, "org/slow"))

    def _logs(self) -> list[tuple[str, str]]:
        logs = [("direct", self.direct.finish())]
        for number, runner in enumerate(self.connected):
            runner.succeed()
            logs.append((str(number), runner.log()))
        return [(salt, _printed(log)) for salt, log in logs]


def _push(salt: str) -> str:
    return f"--output type=image,name={REGISTRY}/org/slow:in-flight-{salt},push=true"


def _printed(log: str) -> str:
    """Return what steps printed, without their commands and the shell's trace."""
    return "".join(f"{line}\n" for line in log.splitlines() if line.startswith("#") and "RUN" not in line)


def _apply(**spec: Any) -> Callable[[Kubectl], None]:
    return lambda team: team.apply(pair(**spec))


def _scale_down(team: Kubectl) -> None:
    team("scale", "bkb", "demo", "--replicas=1")


def _evict_all(team: Kubectl) -> None:
    """Do what `kubectl drain` does on a node: ask, until the disruption budget lets the last one go."""
    for name in daemon_pods(team):
        wait_for(f"{name} may be evicted", partial(evict, team, name), 180)


@pytest.mark.parametrize(
    ("disturb", "count"),
    [
        pytest.param(_apply(daemon={"logLevel": "debug"}), 2, id="roll-by-configuration"),
        pytest.param(_apply(shared={"drainTimeoutSeconds": 901, "maxBuilds": 2}), 2, id="roll-to-a-bound"),
        pytest.param(_apply(image=OTHER_IMAGE), 2, id="roll-by-image"),
        pytest.param(_scale_down, 1, id="scale-down"),
        pytest.param(_evict_all, 2, id="node-drain"),
    ],
)
def test_no_build_is_lost(team: Kubectl, disturb: Callable[[Kubectl], None], count: int) -> None:
    team.apply(pair())
    wait_ready(team)
    before = daemon_pods(team)
    clients = Clients.begin(team)

    disturb(team)
    # Told to end, while all builds go on. One that no key and no Service led a build to has gone by then.
    wait_for("daemons are told to end", lambda: _told_to_end(team, before) == count, 180)
    open_gate(team)

    clients.finish()
    wait_for("a daemon of before is gone", lambda: set(before) - set(daemon_pods(team)), 180)
    wait_ready(team, seconds=180)
    # The next build finds the daemons as they are now, with the Secret as it is now.
    run(team, BUILD)


def _told_to_end(team: Kubectl, before: list[str]) -> int:
    """Return how many of those that there were end, or are gone."""
    return len(set(before) - (set(daemon_pods(team)) - set(ending_daemons(team))))


def test_a_renewed_certificate_is_served_while_builds_go_on_and_rolls_no_daemon(team: Kubectl) -> None:
    team.apply(builder())
    wait_ready(team)
    before = daemon_pods(team)
    clients = Clients.begin(team)

    team.apply(builder(shared={"tls": {"dnsNames": ["builds.example.com"]}}))
    wait_ready(team)
    # The kubelet looks at what a pod has mounted when the pod changes, and else about once a minute.
    team("annotate", "pod", *before, "looked=now")
    by_name = "buildctl --addr $BUILDKIT_HOST --tlsservername builds.example.com --tlsdir /etc/buildkit debug workers"
    run(team, f"until {by_name}; do sleep 1; done")

    open_gate(team)
    clients.finish()
    assert daemon_pods(team) == before


def test_a_killed_daemon_fails_its_builds_at_once_and_nobody_repeats_them(team: Kubectl) -> None:
    team.apply(builder())
    wait_ready(team)
    clients = Clients.begin(team)

    (daemon,) = daemon_pods(team)
    kill_daemon(team, daemon)

    for runner in clients.connected:
        assert runner.finish(30) == "Failed"
        _assert_told(runner.log())
    with pytest.raises(JobError) as failure:
        clients.direct.finish(30)
    _assert_told(str(failure.value))
    wait_ready(team)
    assert "STARTED" not in _histories(team, daemon)
    run(team, BUILD)


def _histories(team: Kubectl, daemon: str) -> str:
    """Return what a daemon knows of builds: those that run are STARTED."""
    command = ("buildctl", "debug", "histories", "--format", "{{.Type}}")
    return team("exec", daemon, "--container=buildkitd", "--", *command)


def _assert_told(log: str) -> None:
    """Assert that a client says itself that it lost the daemon, and that it began its step once."""
    *_, last = log.strip().splitlines()
    assert last.startswith("error: "), log
    assert "Unavailable" in last or "EOF" in last, log
    assert _printed(log).count("begun") == 1, log


def test_a_daemon_that_is_busy_for_longer_than_it_may_is_ended_and_an_event_says_so(team: Kubectl) -> None:
    team.apply(builder(shared={"drainTimeoutSeconds": 5}))
    wait_ready(team)
    stuck = {"Dockerfile": f"FROM {pins.BUSYBOX_IMAGE}\nRUN printf 'begun %s\\n' stuck && sleep 600\n"}
    build = Job.start(team, BUILD, files=stuck)
    build.wait_log("begun stuck")

    (old,) = daemon_pods(team)
    told = time.monotonic()
    team("delete", "pod", old, "--wait=false")
    wait_for("the daemon is gone", lambda: old not in daemon_pods(team), 60)

    assert time.monotonic() - told > 5
    event = wait_for("an event says so", lambda: _drain_events(team), 30)
    assert old in event
    assert "spec.shared.drainTimeoutSeconds" in event
    wait_ready(team)


def _drain_events(team: Kubectl) -> str:
    events = team.get("events", "--field-selector=reason=DrainTimedOut")
    return " ".join(event["message"] for event in events)


def test_an_idle_daemon_stops_within_seconds_and_without_an_error(team: Kubectl) -> None:
    team.apply(builder())
    wait_ready(team)
    (old,) = daemon_pods(team)

    team("delete", "pod", old, "--wait=false")
    # The pod object goes with its exit code, so its end is watched.
    ends = wait_for("the daemon ends", lambda: _exit_code(team, old), 30)

    assert ends in {"0", "gone"}
    wait_ready(team)
    run(team, BUILD)


def _exit_code(team: Kubectl, pod: str) -> str | None:
    """Return a pod's exit code as text, or that the pod is gone."""
    found = team.find("pod", pod)
    if found is None:
        return "gone"
    ended = found["status"]["containerStatuses"][0]["state"].get("terminated")
    return None if ended is None else str(ended["exitCode"])
