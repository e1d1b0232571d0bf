"""The command line in the operator's image, as people reach it who have kubectl and no Python."""

import json

import pytest
import yaml

from buildkit_operator.kube.resources import Manifest
from hack.cluster.kubectl import Kubectl, KubectlError
from tests.support.jobs import wait_ready
from tests.support.runners import sidecar

COMMAND = "buildkit-operator"


def run(cluster: Kubectl, *arguments: str, text: str | None = None) -> str:
    """Run a command in the operator's pod, with the operator's rights, as docs/cli.md shows."""
    operator = cluster.within("buildkit-operator")
    return operator("exec", "--stdin", "deployment/buildkit-operator", "--", COMMAND, *arguments, text=text)


@pytest.fixture(scope="module")
def builder(team_for_module: Kubectl) -> Manifest:
    team_for_module.apply(sidecar())
    return wait_ready(team_for_module)


def test_the_doctor_finds_nothing_wrong(cluster: Kubectl, builder: Manifest) -> None:
    namespace = builder["metadata"]["namespace"]

    found = json.loads(run(cluster, "doctor", f"--namespace={namespace}", "--output=json"))

    results = {check["check"]: check["result"] for check in found["checks"]}
    assert {name: results[name] for name in ("ServerVersion", "Operator", "Leader", "Engine", "PodSecurity")} == {
        "ServerVersion": "ok",
        "Operator": "ok",
        "Leader": "ok",
        "Engine": "ok",
        "PodSecurity": "ok",
    }
    assert "failed" not in results.values()


def test_the_doctor_ends_with_an_error_where_something_is_wrong(cluster: Kubectl, team: Kubectl) -> None:
    pod = {"containers": [{"name": "job", "image": "none"}]}
    team.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "job"}, "spec": pod})
    # A label that came too late for the admission: nothing was added, and nothing said so.
    team("label", "pod", "job", "buildkit-operator.dev/builder=nobody")

    with pytest.raises(KubectlError, match="exit code 1"):
        run(cluster, "doctor", f"--namespace={team.namespace}")


def test_status_shows_the_builder(cluster: Kubectl, builder: Manifest) -> None:
    shown = run(cluster, "status", f"--namespace={builder['metadata']['namespace']}")

    header, row = shown.splitlines()
    assert header.split()[:5] == ["NAMESPACE", "NAME", "MODE", "READY", "REASON"]
    assert row.split()[1:5] == ["demo", "Sidecar", "True", "Available"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("render", "--filename=-"), "render needs the extra cli, which this installation is without"),
        (("status", "--kubeconfig=/etc/passwd"), "to read a kubeconfig needs the extra cli"),
    ],
)
def test_what_the_image_is_without_is_said_in_a_sentence(
    cluster: Kubectl, arguments: tuple[str, ...], said: str
) -> None:
    with pytest.raises(KubectlError) as refused:
        run(cluster, *arguments, text=yaml.safe_dump(sidecar()))

    assert said in str(refused.value)
    assert "exit code 2" in str(refused.value)
    assert "Traceback" not in str(refused.value)
