"""Sidecars that cannot start: the pod's status and the builder say why, and nothing of it outlives the pod."""

from collections.abc import Iterator

import pytest

from buildkit_operator.kube.resources import Manifest
from hack.cluster.kubectl import Kubectl, wait_for
from tests.e2e.history import History, ends, recorded
from tests.support.jobs import wait_ready, wait_reason
from tests.support.runners import BUILD, DAEMON, Runner, sidecar, step

ABSENT = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "absent", "key": "token"}}}


@pytest.fixture
def history(team: Kubectl) -> Iterator[History]:
    with recorded(team) as history:
        yield history


def counts(team: Kubectl) -> Manifest:
    found: Manifest = team.get("bkb", "demo")["status"]["pods"]
    return found


def remove(team: Kubectl, history: History, job: Runner) -> Manifest:
    """Delete a pod whose daemon is sick, see that both recover from it, and return what was last seen of the pod."""
    job.delete()
    last = wait_for(f"{job.name} is gone", lambda: history.last(job.name))
    wait_ready(team)
    wait_for("no pod counts", lambda: counts(team) == {"injected": 0, "ready": 0, "failed": 0})
    return last


@pytest.mark.parametrize(
    ("spec", "reason", "cause", "remedy"),
    [
        pytest.param(
            {"image": "registry.registry.svc:5000/no/such-image:v1"},
            "ImagePullFailed",
            "no/such-image:v1",
            "spec.imagePullSecrets",
            id="image",
        ),
        pytest.param({"env": [ABSENT]}, "ContainerConfigError", "absent", "Check spec.env", id="variable"),
        pytest.param(
            {"daemon": {"toml": "[worker.oci]\nsnapshotter = 'absent'\n"}},
            "CrashLoop",
            "absent",
            "kubectl logs --previous",
            id="configuration",
        ),
    ],
)
def test_the_builder_names_what_is_wrong_and_what_to_do(
    team: Kubectl, history: History, spec: Manifest, reason: str, cause: str, remedy: str
) -> None:
    team.apply(sidecar(**spec))
    wait_ready(team)
    job = Runner.start(team, step(BUILD))

    said = wait_reason(team, reason)["message"]
    assert job.name in said
    assert cause in said
    assert remedy in said
    wait_for("the pod counts as failed", lambda: counts(team) == {"injected": 1, "ready": 0, "failed": 1})
    assert reason in team("events", "--for=bkb/demo", "--types=Warning")

    remove(team, history, job)


@pytest.mark.usefixtures("hardening_policy")
def test_the_daemons_last_words_stand_in_the_pods_status(team: Kubectl, history: History) -> None:
    """An event says that the hook failed, but not what it said: the kubelet keeps that to itself (KEP-753, 1.37)."""
    team.apply(sidecar())
    wait_ready(team)
    job = Runner.start(team, step(BUILD), terminationGracePeriodSeconds=30)

    said = wait_reason(team, "UserNamespaceDenied")["message"]
    assert "newuidmap" in said
    assert "allowPrivilegeEscalation: false" in said
    assert "newuidmap" in team("events", "--for=bkb/demo", "--types=Warning")
    assert "newuidmap" in team("describe", "pod", job.name)
    assert "FailedPostStartHook" in team("events", f"--for=pod/{job.name}", "--types=Warning")
    # What GitLab Runner 19.2 and later, and whoever looks with kubectl, go by.
    wait_for("the pod is in CrashLoopBackOff", lambda: "CrashLoopBackOff" in team("get", "pod", job.name))

    last = remove(team, history, job)
    assert {end["exitCode"] for end in ends(last, DAEMON)} == {1}
    assert not ends(last, "job")


@pytest.mark.usefixtures("hardening_policy")
def test_a_pod_deleted_while_its_daemon_does_not_come_up_is_gone_at_once(team: Kubectl, history: History) -> None:
    team.apply(sidecar())
    wait_ready(team)
    job = Runner.start(team, step(BUILD), terminationGracePeriodSeconds=30)
    # Until the hook has ended, the pod's status does not say that the sidecar runs.
    wait_for("the sidecar runs", lambda: "Started" in team("events", f"--for=pod/{job.name}"))

    remove(team, history, job)
