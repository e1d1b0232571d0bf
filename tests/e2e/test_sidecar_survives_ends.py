"""The end of a pod with a sidecar: it comes at once, and nobody takes it for a failure of the sidecar."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime

import pytest

from buildkit_operator.kube.resources import Manifest
from hack.cluster import pins
from hack.cluster.installation import tags
from hack.cluster.kubectl import Kubectl, wait_for
from tests.e2e.history import History, ends, has_begun, lost_as_arc_sees_it, recorded
from tests.support.jobs import wait_ready
from tests.support.runners import BUILD, DAEMON, IMAGE, JOB_LABEL, Runner, sidecar, step

PATIENCE = 30
"""Kubernetes' own grace period, in seconds: what a process takes that does not heed TERM."""

PROMPT = 20
"""Seconds that the kubelet may take for an end that nobody holds up, on a busy machine."""

SLOW = {"Dockerfile": f"FROM {pins.BUSYBOX_IMAGE}\nRUN printf 'begun %s\\n' slow && sleep 8\n"}
TINY = {"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}

Start = Callable[..., Runner]


@pytest.fixture(scope="module")
def team(team_for_module: Kubectl) -> Kubectl:
    """Return a namespace with a builder of either isolation."""
    # With resources, the API server adds fields to the container that old clients do not know either.
    resources = {"requests": {"cpu": "10m", "memory": "32Mi"}}
    team_for_module.apply(sidecar(), sidecar("isolated", isolation="UserNamespace", resources=resources))
    wait_ready(team_for_module)
    wait_ready(team_for_module, "isolated")
    return team_for_module


@pytest.fixture
def history(team: Kubectl) -> Iterator[History]:
    with recorded(team) as history:
        yield history


def exit_codes(pod: Manifest, container: str) -> set[int]:
    return {ended["exitCode"] for ended in ends(pod, container)}


def seconds_between(first: str, second: str) -> float:
    return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()


def gone(history: History, pod: str, seconds: float) -> Manifest:
    """Wait until a pod is removed, and return what was last seen of it."""
    return wait_for(f"{pod} is gone", lambda: history.last(pod), seconds)


# By itself


@pytest.mark.parametrize("start", [Runner.start, Runner.start_job], ids=["bare-pod", "job"])
@pytest.mark.parametrize(("script", "phase"), [(BUILD, "Succeeded"), (f"{BUILD}; exit 3", "Failed")])
def test_a_pod_completes_with_its_job_and_the_sidecar_ends_well(
    team: Kubectl, start: Start, script: str, phase: str
) -> None:
    job = start(team, step(script), terminationGracePeriodSeconds=PATIENCE)

    assert job.finish() == phase
    pod = job.pod()
    assert exit_codes(pod, "job") == {0 if phase == "Succeeded" else 3}
    assert exit_codes(pod, DAEMON) == {0}
    (of_job,), (of_daemon,) = ends(pod, "job"), ends(pod, DAEMON)
    assert seconds_between(of_job["finishedAt"], of_daemon["finishedAt"]) < PROMPT
    if (name := pod["metadata"]["labels"].get(JOB_LABEL)) is not None:
        team("wait", f"job/{name}", f"--for=condition={'Complete' if phase == 'Succeeded' else 'Failed'}")


# By deletion


def test_a_pod_deleted_during_a_build_is_gone_at_once(team: Kubectl, history: History) -> None:
    script = f"trap 'exit 143' TERM; {BUILD} & wait"
    job = Runner.start(team, step(script), files=SLOW, terminationGracePeriodSeconds=PATIENCE)
    job.wait_log("begun slow")

    job.delete()

    last = gone(history, job.name, PROMPT)
    assert exit_codes(last, "job") == {143}
    assert exit_codes(last, DAEMON) == {0}


def test_a_build_may_use_the_grace_period_that_its_pod_is_given(team: Kubectl, history: History) -> None:
    # A shell that is a container's first process does not heed TERM.
    output = f"--output type=image,name={IMAGE}:grace,push=true"
    job = Runner.start(team, step(f"{BUILD} {output}"), files=SLOW, terminationGracePeriodSeconds=60)
    job.wait_log("begun slow")

    job.delete()

    last = gone(history, job.name, 50)
    assert "grace" in tags(team, "org/sidecar")
    assert exit_codes(last, "job") == {0}
    assert exit_codes(last, DAEMON) == {0}


def test_a_job_that_does_not_heed_its_deletion_is_gone_after_the_grace_period(team: Kubectl, history: History) -> None:
    job = Runner.start(team, step(f"{BUILD}; sleep 600"), files=SLOW, terminationGracePeriodSeconds=4)
    job.wait_log("begun slow")

    job.delete()

    last = gone(history, job.name, 4 + PROMPT)
    # Then the sidecar is told to end as well, and the build may see that before the job is killed.
    assert exit_codes(last, "job") <= {1, 137}
    assert exit_codes(last, DAEMON) == {0}


# As controllers see it


def test_actions_runner_controller_loses_none_of_fifty_jobs(team: Kubectl, history: History) -> None:
    # The kubelet may tell of a short job's beginning and end at once.
    deleted_when: list[Callable[[Manifest], bool]] = [
        lambda _: True,
        lambda pod: _any(pod["status"].get("initContainerStatuses", []), "running", "terminated"),
        lambda pod: _any(pod["status"].get("containerStatuses", []), "running", "terminated"),
        lambda pod: _any(pod["status"].get("containerStatuses", []), "terminated"),
    ]
    lucky: list[Runner] = []
    for turn in range(5):
        begun = [Runner.start(team, step(BUILD), files=TINY) for _ in range(10)]
        unlucky = begun[turn % 2 :: 5]
        for job, when in zip(unlucky, deleted_when[turn % 2 :: 2], strict=True):
            history.wait(job.name, "is where it is to be deleted", when)
            job.delete()
        for job in unlucky:
            gone(history, job.name, PATIENCE)
        lucky += [job for job in begun if job not in unlucky]
        for job in lucky:
            history.wait(job.name, "has ended", lambda pod: bool(ends(pod, DAEMON)), 120)

    # Where a daemon never came up there was no job to lose, and its sidecar fails.
    served = [history.of(pod) for pod in history.pods() if has_begun(history.of(pod))]
    assert len(served) >= len(lucky)
    assert [lost for states in served for state in states for lost in lost_as_arc_sees_it(state)] == []
    ended = [code for job in lucky for code in exit_codes(history.of(job.name)[-1], "job")]
    # 128: on a busy node with cgroup v1, runc now and then cannot start the job's container ("unable to freeze").
    assert set(ended) <= {0, 128}
    assert ended.count(0) >= 35


def _any(statuses: list[Manifest], *states: str) -> bool:
    """Tell whether a container is in one of these states."""
    return any(state in status["state"] for status in statuses for state in states)


FINALIZER = "garo.tietoevry.com/runner-registration"


@pytest.mark.parametrize("builder", ["demo", "isolated"])
def test_evryfs_takes_its_finalizer_off_with_types_that_lack_fields(team: Kubectl, builder: str) -> None:
    """Do what github-actions-runner-operator v0.11.1 does: it is built with k8s.io/api v0.22."""
    job = Runner.start(team, step(BUILD), metadata={"labels": _labels(builder), "finalizers": [FINALIZER]})
    job.succeed()
    job.delete()
    path = f"/api/v1/namespaces/{team.namespace}/pods/{job.name}"

    team("replace", f"--raw={path}", "--filename=-", text=json.dumps(_as_of_1_22(job.pod())))

    wait_for("the pod is gone", lambda: team.find("pod", job.name) is None, PROMPT)


def _labels(builder: str) -> dict[str, str]:
    return {"buildkit-operator.dev/builder": builder, "garo.tietoevry.com/pool": "runners"}


def _as_of_1_22(pod: Manifest) -> Manifest:
    """Return what is left of a pod in a client with the types of Kubernetes 1.22, without the finalizer."""
    metadata = {key: value for key, value in pod["metadata"].items() if key != "finalizers"}
    spec = {key: value for key, value in pod["spec"].items() if key not in {"hostUsers", "resources"}}
    for kind in ("initContainers", "containers"):
        spec[kind] = [_container_as_of_1_22(container) for container in spec[kind]]
    return {**pod, "metadata": metadata, "spec": spec}


def _container_as_of_1_22(container: Manifest) -> Manifest:
    kept = {key: value for key, value in container.items() if key not in {"restartPolicy", "resizePolicy"}}
    if "securityContext" in kept:
        kept["securityContext"] = {k: v for k, v in kept["securityContext"].items() if k != "appArmorProfile"}
    return kept
