"""Daemons by demand, with real builds: from zero and back, the emptiest first, and no build is lost."""

from typing import Any

import pytest

from buildkit_operator.kube.resources import Manifest
from hack.cluster.installation import tags
from hack.cluster.kubectl import Kubectl, wait_for
from tests.support.daemons import daemon_pods, ending_daemons
from tests.support.jobs import BUILD as DIRECT_BUILD
from tests.support.jobs import Job, builder, gated, open_gate, wait_ready, wait_reason
from tests.support.runners import BUILD, Runner, push, step

SMALL: Manifest = {"requests": {"cpu": "10m", "memory": "64Mi"}}


def scaled(cache: Manifest | None = None, **autoscaling: int) -> Manifest:
    wanted = {"minReplicas": 0, "maxReplicas": 2, "idleSeconds": 5, **autoscaling}
    return builder(shared={"autoscaling": wanted}, resources=SMALL, cache=cache or {"size": "2Gi"})


def build(team: Kubectl, salt: str) -> Runner:
    """Start a build of a repository of its own, which waits at the gate once it runs."""
    metadata = {
        "labels": {"buildkit-operator.dev/builder": "demo"},
        "annotations": {"buildkit-operator.dev/cache-key": f"org/{salt}"},
    }
    script = f"{BUILD} --opt build-arg:SALT={salt} {push(f'scaled-{salt}')}"
    return Runner.start(team, step(script), files=gated(team), metadata=metadata)


def autoscaling(team: Kubectl) -> Manifest:
    told: Manifest = team.get("bkb", "demo")["status"]["autoscaling"]
    return told


def wait_for_daemons(team: Kubectl, count: int) -> None:
    wait_for(f"{count} daemons", lambda: len(set(daemon_pods(team)) - set(ending_daemons(team))) == count, 120)


@pytest.mark.parametrize("cache", [{"size": "2Gi"}, {"size": "1Gi", "persistentVolumeClaim": {}}], ids=["", "claim"])
def test_builds_bring_daemons_from_zero_and_idle_ones_go(team: Kubectl, cache: Manifest) -> None:
    team.apply(scaled(cache, runnersPerReplica=1))
    wait_reason(team, "ScaledToZero")
    assert daemon_pods(team) == []

    builds = [build(team, salt) for salt in ("a", "b")]
    for salt, job in zip(("a", "b"), builds, strict=True):
        job.wait_log(f"begun {salt}")
    assert autoscaling(team)["desiredReplicas"] == 2
    open_gate(team)
    for job in builds:
        job.succeed()

    wait_reason(team, "ScaledToZero", seconds=120)
    wait_for("no daemon is left", lambda: not daemon_pods(team), 60)
    assert {"scaled-a", "scaled-b"} <= set(tags(team, "org/sidecar"))
    assert " to 0 daemons: no more were needed for " in autoscaling(team)["message"]


def test_of_two_daemons_the_one_without_builds_goes_though_it_is_the_older(team: Kubectl) -> None:
    def apply(replicas: int) -> None:
        shared: dict[str, Any] = {"replicas": replicas, "maxBuilds": 1}
        team.apply(builder(shared=shared, resources=SMALL))

    apply(1)
    wait_ready(team)
    (older,) = daemon_pods(team)
    first = build(team, "a")
    first.wait_log("begun a")
    apply(2)
    wait_ready(team)
    second = build(team, "b")
    second.wait_log("begun b")
    team("delete", "pod", first.name, "--grace-period=0", "--force", timeout=60)

    def is_empty() -> bool:
        said = team("exec", older, "--container=buildkitd", "--", "buildctl", "debug", "histories")
        return "STARTED" not in said

    wait_for("the older daemon is without builds", is_empty, 60)
    # Kubernetes itself would take away the one that was ready last.
    apply(1)

    wait_for("one daemon is left", lambda: len(daemon_pods(team)) == 1, 60)
    assert daemon_pods(team) != [older]
    assert ending_daemons(team) == []
    open_gate(team)
    second.succeed()


def test_builds_of_clients_outside_injection_bring_a_daemon_too(team: Kubectl) -> None:
    team.apply(scaled(minReplicas=1, buildsPerReplica=1))
    wait_ready(team)

    jobs = [Job.start(team, f"{DIRECT_BUILD} --opt build-arg:SALT={salt}", files=gated(team)) for salt in ("a", "b")]
    wait_for_daemons(team, 2)
    assert autoscaling(team)["message"].startswith("From 1 to 2 daemons: 2 builds, 1 for each")

    open_gate(team)
    for job in jobs:
        job.finish()
    wait_for_daemons(team, 1)
