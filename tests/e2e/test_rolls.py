"""Builds in flight while their daemon is replaced."""

from typing import Any

import pytest

from tests.cluster import pins
from tests.e2e.jobs import BUILD, Job, builder, run, wait_ready
from tests.kubectl import Kubectl, wait_for

SLOW = {"Dockerfile": f"FROM {pins.PYTHON_IMAGE}\nARG SALT\nRUN echo begun $SALT && sleep 20 && echo ended $SALT\n"}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"daemon": {"logLevel": "debug"}}, id="configuration"),
        pytest.param({"shared": {"tls": {"dnsNames": ["builds.example.com"]}}}, id="certificate"),
    ],
)
def test_a_build_in_flight_survives_a_roll(team: Kubectl, change: dict[str, Any]) -> None:
    team.apply(builder())
    wait_ready(team)
    (old,) = daemon_pods(team)
    output = "--output type=image,name=$REGISTRY/org/slow:latest,push=true"
    build = Job.start(team, f"{BUILD} --opt build-arg:SALT=roll {output}", files=SLOW)
    build.wait_log("begun roll")

    team.apply(builder(**change))
    wait_for("a new daemon is up while the old one drains", lambda: len(daemon_pods(team)) == 2 and ready(team) == 2)

    log = build.finish()
    assert "ended roll" in log
    wait_for("the old daemon is gone", lambda: old not in daemon_pods(team))
    wait_ready(team)
    # The next build finds the new daemon with the Secret as it is now.
    run(team, BUILD)


def test_an_idle_daemon_stops_within_seconds_and_without_an_error(team: Kubectl) -> None:
    team.apply(builder())
    wait_ready(team)
    (old,) = daemon_pods(team)
    # The pod object goes with its exit code, so its end is watched.
    watched = team("get", "pod", old, "--output=jsonpath={.metadata.uid}")
    assert watched

    team("delete", "pod", old, "--wait=false")
    ends = wait_for("the daemon ends", lambda: exit_code(team, old), 30)

    assert ends in {"0", "gone"}
    wait_ready(team)
    run(team, BUILD)


def daemon_pods(team: Kubectl) -> list[str]:
    return [pod["metadata"]["name"] for pod in team.get("pods", "--selector=app.kubernetes.io/name=buildkitd")]


def ready(team: Kubectl) -> int:
    pods = team.get("pods", "--selector=app.kubernetes.io/name=buildkitd")
    return sum(any(s["ready"] for s in pod["status"].get("containerStatuses", ())) for pod in pods)


def exit_code(team: Kubectl, pod: str) -> str | None:
    """Return a pod's exit code as text, or that the pod is gone."""
    found = team.find("pod", pod)
    if found is None:
        return "gone"
    ended = found["status"]["containerStatuses"][0]["state"].get("terminated")
    return None if ended is None else str(ended["exitCode"])
