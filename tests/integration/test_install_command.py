"""`make install` in a real API server: nothing before consent, nothing over other installations, and again the same."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from buildkit_operator.kube.resources import Manifest
from hack.cluster.controlplane import ControlPlane
from hack.cluster.kubectl import wait_for
from hack.cluster.processes import dies_with_parent
from tests.integration.test_current_cluster import written_by_kubectl

TOP: Final = Path(__file__).parents[2]
COMMAND: Final = [sys.executable, "-m", "hack.install"]
IMAGE: Final = "registry.example.com/buildkit-operator:1"
NAMESPACE: Final = "buildkit-operator"
DEPLOYMENTS: Final = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"

Start = Callable[[], ControlPlane]


def environment(control_plane: ControlPlane, **more: str) -> dict[str, str]:
    return {**os.environ, "KUBECONFIG": str(control_plane.kubeconfig), "IMAGE": IMAGE, **more}


def run(control_plane: ControlPlane, **more: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end, as a user whose current context is that of the control plane."""
    return subprocess.run(
        COMMAND,
        env=environment(control_plane, **more),
        cwd=TOP,
        stdin=subprocess.DEVNULL,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )


@contextmanager
def running(control_plane: ControlPlane) -> Iterator["subprocess.Popen[str]"]:
    """Run it beside the test, which does what controllers and nodes would."""
    command = dies_with_parent("KILL", COMMAND)
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    yes = environment(control_plane, YES="1")
    with subprocess.Popen(command, env=yes, cwd=TOP, text=True, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def deployments(control_plane: ControlPlane) -> dict[str, Manifest]:
    found = json.loads(control_plane.kubectl("get", "--raw", DEPLOYMENTS))["items"]
    return {one["metadata"]["name"]: one for one in found}


def apply(control_plane: ControlPlane, *objects: Manifest) -> None:
    for one in objects:
        control_plane.kubectl("apply", "--server-side", "--filename=-", text=json.dumps(one))


def set_status(control_plane: ControlPlane, what: str, status: Manifest) -> None:
    patch = json.dumps({"status": status})
    flags = (f"--namespace={NAMESPACE}", "--subresource=status", "--type=merge", f"--patch={patch}")
    control_plane.kubectl("patch", what, *flags)


def roll_out(control_plane: ControlPlane) -> None:
    """Do what the controller of Deployments and the nodes do."""
    for name, one in deployments(control_plane).items():
        count = one["spec"]["replicas"]
        counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), count)
        status = {"observedGeneration": one["metadata"]["generation"], **counts}
        set_status(control_plane, f"deployment/{name}", status)


def deployment(namespace: str, labels: dict[str, str], variable: str = "") -> Manifest:
    name = {"app.kubernetes.io/name": "buildkit-operator"}
    env = [{"name": variable, "value": "team-a"}] if variable else []
    container = {"name": "operator", "image": "any", "env": env}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "buildkit-operator", "namespace": namespace, "labels": {**name, **labels}},
        "spec": {
            "selector": {"matchLabels": name},
            "template": {"metadata": {"labels": name}, "spec": {"containers": [container]}},
        },
    }


def namespace(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "needs your consent"),
        ({"IMAGE": ""}, "is none of kind, k3d or minikube"),
        ({"IMAGE": "registry.example.com/buildkit-operator"}, "must be registry/name:tag"),
    ],
)
def test_without_consent_or_an_image_nothing_is_done(
    control_plane: ControlPlane, variables: dict[str, str], sentence: str
) -> None:
    mark = control_plane.mark()

    done = run(control_plane, **variables)

    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Nothing was done." in done.stderr
    assert "Traceback" not in done.stderr
    assert written_by_kubectl(control_plane, mark) == []


@pytest.mark.parametrize(
    ("of", "labels", "variable", "sentence"),
    [
        (
            "builds",
            {"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "mine"},
            "",
            "as Helm release mine in namespace builds; upgrade that: helm upgrade mine ",
        ),
        (NAMESPACE, {}, "BUILDKIT_OPERATOR_WATCH_NAMESPACES", "is installed for some namespaces alone"),
    ],
)
def test_another_installation_is_left_alone(
    start_control_plane: Start, of: str, labels: dict[str, str], variable: str, sentence: str
) -> None:
    control_plane = start_control_plane()
    apply(control_plane, namespace(of), deployment(of, labels, variable))
    mark = control_plane.mark()

    done = run(control_plane, YES="1")

    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Nothing was done." in done.stderr
    assert written_by_kubectl(control_plane, mark) == []


def test_it_waits_until_the_operator_runs_and_does_nothing_the_second_time(start_control_plane: Start) -> None:
    control_plane = start_control_plane()

    with running(control_plane) as first:
        wait_for("it has been applied", lambda: "buildkit-operator" in deployments(control_plane), 60)
        with pytest.raises(subprocess.TimeoutExpired):
            first.wait(3)
        roll_out(control_plane)
        said, _ = first.communicate(timeout=60)
    before = deployments(control_plane)
    again = run(control_plane, YES="1")

    assert first.returncode == 0
    assert 'runs in namespace buildkit-operator of context "test"' in said
    assert said.endswith("kubectl apply -f deploy/samples/sidecar.yaml\n")
    images = [one["spec"]["template"]["spec"]["containers"][0]["image"] for one in before.values()]
    assert images == [IMAGE], "the policies inject, as this API server has them"
    assert (again.returncode, again.stdout) == (0, said)
    assert deployments(control_plane) == before


def test_what_injects_already_is_what_is_installed_again(start_control_plane: Start) -> None:
    control_plane = start_control_plane()
    control_plane.kubectl("apply", "--server-side", f"--kustomize={TOP / 'deploy/kustomize/overlays/webhook'}")

    with running(control_plane) as process:
        wait_for("both have the image", lambda: images(control_plane) == {IMAGE}, 60)
        roll_out(control_plane)
        said, _ = process.communicate(timeout=60)

    assert process.returncode == 0
    assert "its webhook gives runner pods their builder" in said


def test_an_image_that_cannot_be_pulled_ends_it_with_how_to_build_and_push(start_control_plane: Start) -> None:
    control_plane = start_control_plane()
    waiting = {"reason": "ImagePullBackOff", "message": "not found"}
    status = {"name": "operator", "image": IMAGE, "imageID": "", "ready": False, "restartCount": 0}

    with running(control_plane) as process:
        wait_for("it has been applied", lambda: "buildkit-operator" in deployments(control_plane), 60)
        template = deployments(control_plane)["buildkit-operator"]["spec"]["template"]
        metadata = {"name": "operator-1", "namespace": NAMESPACE}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        apply(control_plane, pod)
        set_status(control_plane, "pod/operator-1", {"containerStatuses": [{**status, "state": {"waiting": waiting}}]})
        _, said = process.communicate(timeout=60)

    assert process.returncode == 1
    assert f"cannot pull {IMAGE} (pod operator-1, ImagePullBackOff: not found)" in said
    assert "docker build -f deploy/Dockerfile" in said


def images(control_plane: ControlPlane) -> set[str]:
    found = deployments(control_plane).values()
    return {one["spec"]["template"]["spec"]["containers"][0]["image"] for one in found}
