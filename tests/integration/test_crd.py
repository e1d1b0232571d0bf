"""The definition as a real API server understands it: what it refuses with which words, and what users get to see."""

import json
import subprocess
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from buildkit_operator.kube.resources import Manifest
from hack.cluster import artifacts
from hack.cluster.controlplane import ControlPlane
from tests.support.specs import REFUSED, TAKEN

pytestmark = pytest.mark.usefixtures("crds")

TOP = Path(__file__).parents[2]
SAMPLES = sorted((TOP / "deploy" / "samples").glob("*.yaml"))
EVERYTHING = Path(__file__).parents[1] / "unit" / "golden" / "everything" / "builder.yaml"


def test_the_oldest_kubernetes_that_is_served_takes_it() -> None:
    program = artifacts.ensure("oldest")["oldest"] / "oldest"
    generated = TOP / "crds" / "buildkitbuilders.yaml"

    said = subprocess.run([str(program), str(generated)], text=True, capture_output=True, check=False)

    assert (said.stdout, said.stderr) == ("", "")
    assert said.returncode == 0


def test_what_it_would_refuse_is_told(tmp_path: Path) -> None:
    program = artifacts.ensure("oldest")["oldest"] / "oldest"
    text = (TOP / "crds" / "buildkitbuilders.yaml").read_text()
    newer = tmp_path / "newer.yaml"
    newer.write_text(text.replace("rule: isIP(self)", "rule: isSemver(self)"))

    said = subprocess.run([str(program), str(newer)], text=True, capture_output=True, check=False)

    assert "undeclared reference to 'isSemver'" in said.stdout
    assert said.returncode == 1


def builder(name: str = "demo", **spec: Any) -> Manifest:
    return {
        "apiVersion": "buildkit-operator.dev/v1alpha1",
        "kind": "BuildKitBuilder",
        "metadata": {"name": name},
        "spec": {"mode": "Shared", **spec},
    }


def address(namespace: str, name: str = "") -> str:
    return f"/apis/buildkit-operator.dev/v1alpha1/namespaces/{namespace}/buildkitbuilders{name and '/' + name}"


def create(control_plane: ControlPlane, manifest: Manifest, namespace: str = "default", *, dry_run: bool = True) -> Any:
    query = "fieldValidation=Strict" + ("&dryRun=All" if dry_run else "")
    return control_plane.request("POST", f"{address(namespace)}?{query}", manifest)


def refusal(control_plane: ControlPlane, manifest: Manifest) -> str:
    """Return what the API server says; it must not take the object."""
    with pytest.raises(urllib.error.HTTPError) as caught:
        create(control_plane, manifest)
    message: str = json.loads(caught.value.read())["message"]
    return message


# What is refused


@pytest.mark.parametrize(("spec", "path", "sentence"), REFUSED)
def test_bad_input_is_refused_with_its_place_and_a_sentence(
    control_plane: ControlPlane, spec: Manifest, path: str, sentence: str
) -> None:
    message = refusal(control_plane, builder(**spec))

    assert f"{path}: " in message
    assert sentence in message


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a" * 41, "the name of a builder may have at most 40 characters"),
        ("1st", "the name of a builder must begin with a letter"),
        ("a.b", "the name of a builder must begin with a letter and hold only a-z, 0-9 and -"),
    ],
)
def test_a_name_that_could_not_be_a_services_is_refused(control_plane: ControlPlane, name: str, sentence: str) -> None:
    assert sentence in refusal(control_plane, builder(name))


def test_a_name_is_to_leave_room_for_an_architecture_where_there_is_one(control_plane: ControlPlane) -> None:
    said = refusal(control_plane, builder("a" * 33, shared={"architectures": ["arm64"]}))

    assert "the name of a builder with shared.architectures may have at most 32 characters" in said


def test_an_unknown_field_is_an_error_for_those_who_ask_for_strictness(control_plane: ControlPlane) -> None:
    assert 'unknown field "spec.shared.replica"' in refusal(control_plane, builder(shared={"replica": 2}))


def test_an_unknown_field_is_an_error_for_kubectl(control_plane: ControlPlane) -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        control_plane.kubectl("apply", "--filename=-", text=yaml.safe_dump(builder("typo", chache={"size": "2Gi"})))

    assert 'unknown field "spec.chache"' in caught.value.stderr


# What is taken


@pytest.mark.parametrize("spec", TAKEN)
def test_good_input_is_taken(control_plane: ControlPlane, spec: Manifest) -> None:
    assert create(control_plane, builder(**spec))["spec"].items() >= {"mode": spec.get("mode", "Shared")}.items()


@pytest.mark.parametrize("name", ["a", "a" * 40, "b-2", "builds"])
def test_a_good_name_is_taken(control_plane: ControlPlane, name: str) -> None:
    assert create(control_plane, builder(name))["metadata"]["name"] == name


def test_everything_at_once_is_taken(control_plane: ControlPlane) -> None:
    spec = yaml.safe_load(EVERYTHING.read_text())

    assert create(control_plane, builder(**spec))["spec"]["shared"]["replicas"] == 3


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.name)
def test_samples_are_taken(control_plane: ControlPlane, namespace: str, file: Path) -> None:
    control_plane.kubectl(f"--namespace={namespace}", "apply", "--validate=strict", f"--filename={file}")


def test_defaults_are_written_down_where_users_look(control_plane: ControlPlane) -> None:
    assert create(control_plane, builder(shared={}))["spec"] == {
        "mode": "Shared",
        "suspend": False,
        "isolation": "Rootless",
        "imagePullPolicy": "IfNotPresent",
        "daemon": {"logLevel": "info", "garbageCollection": {"keepSeconds": 5_184_000}},
        "cache": {"size": "20Gi"},
        "shared": {
            "replicas": 1,
            "port": 1234,
            "tls": {"mode": "SelfSigned"},
            "service": {"type": "ClusterIP"},
            "disruptionBudget": {"maxUnavailable": "1"},
            "drainTimeoutSeconds": 900,
        },
    }


def test_a_builder_that_nobody_has_looked_at_says_so(control_plane: ControlPlane) -> None:
    assert create(control_plane, builder())["status"] == {"observedGeneration": -1}


def test_users_cannot_write_a_status(control_plane: ControlPlane) -> None:
    assert create(control_plane, builder() | {"status": {"endpoint": "tcp://elsewhere"}})["status"] == {
        "observedGeneration": -1
    }


def test_the_generation_counts_changes_of_the_spec_alone(control_plane: ControlPlane, namespace: str) -> None:
    create(control_plane, builder(), namespace, dry_run=False)
    kubectl = ["patch", "bkb", "demo", f"--namespace={namespace}", "--type=merge"]

    control_plane.kubectl(*kubectl, "--subresource=status", '--patch={"status": {"endpoint": "tcp://x"}}')
    control_plane.kubectl(*kubectl, '--patch={"metadata": {"labels": {"team": "a"}}}')
    assert control_plane.request("GET", address(namespace, "demo"))["metadata"]["generation"] == 1

    control_plane.kubectl(*kubectl, '--patch={"spec": {"suspend": true}}')
    assert control_plane.request("GET", address(namespace, "demo"))["metadata"]["generation"] == 2


# What kubectl makes of it


def test_client_side_apply_of_the_definition_works(control_plane: ControlPlane) -> None:
    file = Path(__file__).parents[2] / "crds" / "buildkitbuilders.yaml"

    assert "buildkitbuilders" in control_plane.kubectl("apply", "--server-side=false", f"--filename={file}")


def test_builders_are_found_by_short_name_and_category(control_plane: ControlPlane, namespace: str) -> None:
    create(control_plane, builder(), namespace, dry_run=False)

    for word in ("bkb", "buildkit", "buildkitbuilder"):
        assert "demo" in control_plane.kubectl("get", word, f"--namespace={namespace}")


def test_columns_show_what_the_status_says(start_control_plane: Callable[[], ControlPlane]) -> None:
    # Of its own: on the shared one an operator may still run, with something else to say.
    control_plane, namespace = start_control_plane(), "default"
    create(control_plane, builder(), namespace, dry_run=False)
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Available",
        "message": "All is well.",
        "lastTransitionTime": "2026-11-24T12:00:00Z",
        "observedGeneration": 1,
    }
    status = {"conditions": [ready], "endpoint": "tcp://demo:1234", "image": "buildkit:1", "readyReplicas": 2}
    control_plane.kubectl(
        f"--namespace={namespace}", "patch", "bkb", "demo", "--subresource=status", "--type=merge", "--patch",
        json.dumps({"status": status}),
    )  # fmt: skip

    header, row = control_plane.kubectl("get", "bkb", "demo", "--output=wide", f"--namespace={namespace}").splitlines()
    columns = ["NAME", "MODE", "READY", "REASON", "ENDPOINT", "AGE", "IMAGE", "REPLICAS", "PODS", "MESSAGE"]
    assert header.split() == columns
    assert row.split()[:5] == ["demo", "Shared", "True", "Available", "tcp://demo:1234"]
    assert row.split()[-5:] == ["buildkit:1", "2", "All", "is", "well."]


def test_scaling_changes_the_replicas(control_plane: ControlPlane, namespace: str) -> None:
    create(control_plane, builder(shared={}), namespace, dry_run=False)

    control_plane.kubectl("scale", "bkb", "demo", "--replicas=3", f"--namespace={namespace}")

    assert control_plane.request("GET", address(namespace, "demo"))["spec"]["shared"]["replicas"] == 3
    assert control_plane.request("GET", address(namespace, "demo") + "/scale")["spec"]["replicas"] == 3
