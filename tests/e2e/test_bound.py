"""Shared daemons with a bound on their builds: the next one takes over, then builds wait, and none is lost."""

import time

import pytest

from buildkit_operator.kube.resources import Manifest
from hack.cluster.installation import tags
from hack.cluster.kubectl import Kubectl, wait_for
from tests.support.daemons import daemon_pods
from tests.support.jobs import BUILD as DIRECT_BUILD
from tests.support.jobs import Job, builder, gated, open_gate, wait_ready
from tests.support.runners import BUILD, Runner, push, step

SMALL: Manifest = {"requests": {"cpu": "10m", "memory": "64Mi"}}
RUNNING = ("buildctl", "debug", "histories", "--format", "{{.Type}}")


def bounded(replicas: int, **shared: int) -> Manifest:
    return builder(shared={"replicas": replicas, "maxBuilds": 1, **shared}, resources=SMALL)


def build(team: Kubectl, salt: str) -> Runner:
    """Start a build of the same repository as the others, which waits at the gate once it runs."""
    labels = {"buildkit-operator.dev/builder": "demo"}
    metadata = {"labels": labels, "annotations": {"buildkit-operator.dev/cache-key": "org/one"}}
    script = f"{BUILD} --opt build-arg:SALT={salt} {push(f'bounded-{salt}')}"
    job = Runner.start(team, step(script), files=gated(team), metadata=metadata)
    job.wait_running()
    return job


def begun(builds: dict[str, Runner]) -> set[str]:
    """Return the salts of those whose step runs, or has."""
    return {salt for salt, job in builds.items() if f"begun {salt}\n" in job.log()}


def running(team: Kubectl) -> list[int]:
    """Return how many builds each daemon runs."""
    told = [team("exec", pod, "--container=buildkitd", "--", *RUNNING) for pod in daemon_pods(team)]
    return [words.split().count("STARTED") for words in told]


def test_builds_overflow_then_wait_and_none_is_lost(team: Kubectl) -> None:
    team.apply(bounded(2))
    wait_ready(team)

    builds = {salt: build(team, salt) for salt in ("a", "b", "c", "d")}
    wait_for("both daemons have a build", lambda: len(begun(builds)) == 2, 120)
    direct = Job.start(team, f"{DIRECT_BUILD} --opt build-arg:SALT=direct", files=gated(team))
    direct.wait_log("buildctl")
    with pytest.raises(TimeoutError):
        wait_for("a third one", lambda: len(begun(builds)) + ("begun direct\n" in direct.log()) > 2, 10)
    assert running(team) == [1, 1]

    open_gate(team)
    for job in builds.values():
        job.succeed()
    direct.finish()
    assert {f"bounded-{salt}" for salt in builds} <= set(tags(team, "org/sidecar"))


def test_a_higher_bound_holds_at_once_and_rolls_no_daemon(team: Kubectl) -> None:
    team.apply(bounded(1))
    wait_ready(team)
    before = daemon_pods(team)
    builds = {salt: build(team, salt) for salt in ("a", "b")}
    wait_for("the daemon has a build", lambda: begun(builds), 120)

    team.apply(bounded(1, maxBuilds=2))

    def has_both() -> bool:
        # The kubelet looks at what a pod has mounted when the pod changes, and else about once a minute.
        team("annotate", "pod", *before, f"looked={time.time()}", "--overwrite")
        return len(begun(builds)) == 2

    wait_for("it has both", has_both, 180)

    open_gate(team)
    for job in builds.values():
        job.succeed()
    assert daemon_pods(team) == before


def test_who_waits_in_vain_is_told_why(team: Kubectl) -> None:
    team.apply(bounded(1, queueTimeoutSeconds=5))
    wait_ready(team)
    first = build(team, "a")
    wait_for("the daemon has a build", lambda: begun({"a": first}), 120)

    connected = build(team, "b")
    direct = Job.start(team, f"{DIRECT_BUILD} || true", files=gated(team))

    assert connected.finish() == "Failed"
    for log in (connected.log(), direct.finish()):
        assert "as many builds as" in log
        assert "maxBuilds" in log
    open_gate(team)
    first.succeed()
