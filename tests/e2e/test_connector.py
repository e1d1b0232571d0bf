"""Shared daemons behind the same socket as a sidecar's: real builds through the connector, and what it bears with."""

import re
import time
from typing import Any

import pytest

from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import Manifest
from hack.cluster import pins
from hack.cluster.installation import tags
from hack.cluster.kubectl import Kubectl, KubectlError, wait_for
from tests.support.jobs import builder, gated, open_gate, wait_ready, wait_reason
from tests.support.runners import BUILD, IMAGE, Runner, push, sidecar, step

CONNECTOR = "buildkit-connector"
BUILDX = "/usr/local/libexec/docker/cli-plugins/docker-buildx"
WORKER = "buildctl --addr $BUILDKIT_HOST debug workers --format '{{range .}}{{.ID}}{{end}}'"
NO_CERTIFICATE = "! find / -xdev -name 'client.pem*' 2>/dev/null | grep . && test ! -e /etc/buildkit-tls"
SEVERAL = "--selector=buildkit-operator.dev/owner=several,app.kubernetes.io/name=buildkitd"
RESTRICTED: Manifest = {
    "runAsUser": 1001,
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


@pytest.fixture(scope="module")
def team(team_for_module: Kubectl) -> Kubectl:
    """Return a namespace with a shared builder that is ready."""
    team_for_module.apply(builder())
    wait_ready(team_for_module)
    return team_for_module


def docker(script: str, name: str = "job", **more: Any) -> Manifest:
    """Return a container of Docker's client image, with buildx as its plugin and no daemon."""
    return step(script, name, image=pins.DOCKER_IMAGE, **more)


def injected(job: Runner) -> list[str]:
    """Return the names of the pod's native sidecars."""
    return [c["name"] for c in job.pod()["spec"]["initContainers"] if c.get("restartPolicy") == "Always"]


def connector(job: Runner) -> Manifest:
    """Return what the kubelet says of the connector."""
    statuses: list[Manifest] = job.pod()["status"]["initContainerStatuses"]
    return next(status for status in statuses if status["name"] == CONNECTOR)


def test_jobs_of_any_user_build_and_push_and_see_no_certificate(team: Kubectl) -> None:
    users: dict[str, Manifest] = {
        "as-root": {"runAsUser": 0},
        "as-the-daemon": {"runAsUser": 1000, "runAsGroup": 1000},
        "as-arc": {"runAsUser": 1001, "runAsGroup": 1001},
        "without-capabilities": {"runAsUser": 0, "capabilities": {"drop": ["ALL"]}},
    }
    script = f"{NO_CERTIFICATE}; {BUILD}"
    job = Runner.start(
        team, *(step(f"{script} {push(who)}", who, securityContext=context) for who, context in users.items())
    )

    job.succeed()
    assert set(users) <= set(tags(team, "org/sidecar"))
    assert injected(job) == [CONNECTOR]
    assert connector(job)["state"]["terminated"]["exitCode"] == 0
    assert connector(job)["restartCount"] == 0


def test_docker_and_buildx_build_and_push_unchanged(team: Kubectl) -> None:
    commands = {"docker-build": "docker build", "docker-buildx": "docker buildx build", "buildx": f"{BUILDX} build"}
    steps = [
        docker(
            f"export HOME=/tmp; {command} --tag {IMAGE}:connector-{name} --push .",
            name,
            securityContext={"runAsUser": uid},
        )
        for uid, (name, command) in enumerate(commands.items())
    ]
    job = Runner.start(team, *steps)

    job.succeed()
    assert {f"connector-{name}" for name in commands} <= set(tags(team, "org/sidecar"))


def test_the_builder_counts_its_pods(team: Kubectl) -> None:
    job = Runner.start(team, step("sleep 300"))

    wait_for("it counts", lambda: team.get("bkb", "demo")["status"]["pods"]["ready"] >= 1)
    job.delete()
    wait_for("it is counted no more", lambda: team.get("bkb", "demo")["status"]["pods"]["ready"] == 0)


def test_a_job_without_any_right_runs_where_pod_security_is_restricted(cluster: Kubectl, team: Kubectl) -> None:
    label = "pod-security.kubernetes.io/enforce"
    # The daemon's pod was admitted before: it needs more than that.
    cluster("label", "namespace", team.namespace, f"{label}=restricted")
    try:
        wait_for("Pod Security refuses pods", lambda: _is_refused(team))
        job = Runner.start(team, step(f"{BUILD} {push('restricted')}", securityContext=RESTRICTED))
    finally:
        cluster("label", "namespace", team.namespace, f"{label}-")

    job.succeed()


def _is_refused(team: Kubectl) -> bool:
    try:
        team("run", "probe", "--image=none", "--dry-run=server")
    except KubectlError as error:
        return "restricted" in str(error)
    return False


def test_a_key_meets_the_same_daemon_again_after_all_of_them_were_restarted(team: Kubectl) -> None:
    cache = {"size": "1Gi", "persistentVolumeClaim": {}}
    small = {"requests": {"cpu": "10m", "memory": "64Mi"}}
    team.apply(builder("several", cache=cache, shared={"replicas": 2}, resources=small))
    wait_ready(team, "several", 180)
    keys = ['org/repo "$HOME" \\', *(f"org/repo-{number}" for number in range(5))]

    before = _workers_met(team, keys)
    ended = _ready_daemons(team)
    team("delete", "pods", SEVERAL)
    wait_for("other daemons answer", lambda: len(_ready_daemons(team) - ended) == 2, 180)

    assert len(set(before.values())) == 2
    assert _workers_met(team, keys) == before
    team("delete", "bkb", "several", "--wait=false")


def _ready_daemons(team: Kubectl) -> set[str]:
    """Return the uids of the daemons' pods that answer."""
    pods = team.get("pods", SEVERAL)
    return {pod["metadata"]["uid"] for pod in pods if condition(pod, "Ready").get("status") == "True"}


def _workers_met(team: Kubectl, keys: list[str]) -> dict[str, str]:
    """Return by its id the daemon that the first call of a pod with each of these keys gets to."""
    jobs = {}
    for key in keys:
        labels = {"buildkit-operator.dev/builder": "several"}
        annotations = {"buildkit-operator.dev/cache-key": key}
        jobs[key] = Runner.start(team, step(WORKER), metadata={"labels": labels, "annotations": annotations})
    for job in jobs.values():
        job.succeed()
    return {key: _worker(job.log()) for key, job in jobs.items()}


def _worker(log: str) -> str:
    """Return the id that a job printed beside the commands of its shell."""
    (worker,) = re.findall(r"\b[a-z0-9]{25}\b", log)
    return str(worker)


def test_builds_that_come_while_there_is_no_daemon_wait_longer_than_clients_do_by_themselves(team: Kubectl) -> None:
    team.apply(builder("zero", shared={"replicas": 0}))
    wait_reason(team, "ScaledToZero", "zero")
    job = Runner.start(
        team,
        step(f"date +%s; {BUILD} {push('zero-buildctl')}; date +%s", "buildctl"),
        docker(f"date +%s; docker build --tag {IMAGE}:zero-buildx --push .; date +%s", "buildx"),
        asks_for="zero",
    )
    for name in ("buildctl", "buildx"):
        job.wait_running(name)
    time.sleep(40)
    team("patch", "bkb", "zero", "--type=merge", '--patch={"spec":{"shared":{"replicas":1}}}')

    job.succeed(300)
    for name in ("buildctl", "buildx"):
        times = [int(line) for line in job.log(name).splitlines() if line.isdigit()]
        assert times[-1] - times[0] > 40
    assert {"zero-buildctl", "zero-buildx"} <= set(tags(team, "org/sidecar"))
    team("delete", "bkb", "zero", "--wait=false")


def test_a_running_build_survives_the_renewal_of_its_certificate(team: Kubectl) -> None:
    job = Runner.start(team, step(f"{BUILD} --opt build-arg:SALT=old; {WORKER}"), files=gated(team))
    job.wait_log("begun old")
    before = team.get("secret", "demo-connection")["data"]["tls.crt"]

    # As if it had become due: the operator finds none and issues one, as soon as it looks and has forgotten the old.
    # One that it forgets within a reconcile is written again as it was, so it is deleted again and again.
    def renewed() -> bool:
        if _certificate(team) == before:
            team("delete", "secret", "demo-connection")
        return _touch(team, "bkb/demo") and _certificate(team) not in {None, before}

    wait_for("there is a new certificate", renewed, 200)

    # The kubelet looks at a pod's volumes when the pod changes, and else about once a minute.
    taken = "HAProxy takes it"
    wait_for("the connector takes it", lambda: _touch(team, f"pod/{job.name}") and taken in job.log(CONNECTOR), 90)
    open_gate(team)
    job.succeed(120)
    assert connector(job)["restartCount"] == 0


def _touch(team: Kubectl, what: str) -> bool:
    """Change an object, so that whoever watches it looks at it, and wait a moment."""
    team("annotate", what, f"looked={time.time()}", "--overwrite")
    time.sleep(1)
    return True


def _certificate(team: Kubectl) -> str | None:
    found = team.find("secret", "demo-connection")
    return found["data"]["tls.crt"] if found else None


def test_a_builders_mode_changes_under_jobs_that_do_not(team: Kubectl) -> None:
    seen = []
    for turn, made in enumerate((sidecar("switch"), builder("switch"), sidecar("switch"))):
        team.apply(made)
        wait_ready(team, "switch", 180)
        job = Runner.start_job(team, step(f"{BUILD} {push(f'switch-{turn}')}"), asks_for="switch")
        job.succeed()
        seen += injected(job)

    assert seen == ["buildkitd", CONNECTOR, "buildkitd"]
    assert {"switch-0", "switch-1", "switch-2"} <= set(tags(team, "org/sidecar"))
