"""What an admin checks first that the page does not show: the definition, admission objects, events, two managers."""

import json
import subprocess
from typing import Any, Final

import pytest
import yaml

from buildkit_operator.kube.resources import Manifest
from tests.integration.builders.builder_namespace import Builders

DEFINITION: Final = "buildkitbuilders.buildkit-operator.dev"
ADMISSION: Final = (
    "mutatingadmissionpolicies",
    "mutatingadmissionpolicybindings",
    "validatingadmissionpolicies",
    "validatingadmissionpolicybindings",
)


def objects(cluster: Builders, *what: str) -> list[Manifest]:
    found: list[Manifest] = json.loads(cluster.control_plane.kubectl("get", *what, "--output=json"))["items"]
    return found


# The definition


def test_the_definition_is_structural_and_has_what_people_look_for(cluster: Builders) -> None:
    definition = json.loads(cluster.control_plane.kubectl("get", "crd", DEFINITION, "--output=json"))
    held = {condition["type"]: condition["status"] for condition in definition["status"]["conditions"]}
    (version,) = definition["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]

    assert held["Established"] == held["NamesAccepted"] == "True"
    assert held.get("NonStructuralSchema", "False") == "False"
    assert not definition["spec"].get("preserveUnknownFields")
    assert "x-kubernetes-preserve-unknown-fields" not in schema
    assert "x-kubernetes-preserve-unknown-fields" not in schema["properties"]["spec"]
    assert version["subresources"].keys() == {"status", "scale"}
    assert all(column["description"] for column in version["additionalPrinterColumns"])
    assert "finalizers" not in definition["metadata"]


# Admission objects


@pytest.mark.parametrize("kind", ADMISSION)
def test_admission_objects_are_named_after_us(cluster: Builders, kind: str) -> None:
    names = [found["metadata"]["name"] for found in objects(cluster, kind)]

    assert names
    assert all(name.startswith("buildkit-operator") for name in names)


@pytest.mark.parametrize("kind", [kind for kind in ADMISSION if kind.endswith("policies")])
def test_policies_are_about_pods_and_leave_the_cluster_and_the_operator_alone(cluster: Builders, kind: str) -> None:
    for policy in objects(cluster, kind):
        constraints = policy["spec"]["matchConstraints"]
        excluded = [
            expression
            for expression in constraints["namespaceSelector"]["matchExpressions"]
            if (expression["key"], expression["operator"]) == ("kubernetes.io/metadata.name", "NotIn")
        ]
        assert excluded[0]["values"] == ["kube-system", "buildkit-operator"], policy["metadata"]["name"]
        assert {tuple(rule["resources"]) for rule in constraints["resourceRules"]} <= {("pods",)}


# A good builder


@pytest.mark.parametrize("mode", ["Shared", "Sidecar"])
def test_a_good_builder_is_waited_for_and_its_story_is_short(team: Builders, mode: str) -> None:
    team.create(mode=mode)
    if mode == "Shared":
        team.make_ready()

    assert "condition met" in team.kubectl("wait", "--for=condition=Ready", "bkb/demo", "--timeout=30s")

    described = team.wait("Available is told", lambda: d if "Available" in (d := described_events(team)) else "")
    assert 1 <= len(described.splitlines()) - 2 <= 5
    assert "buildkit-operator.dev/builder-controller" in described
    assert "Warning" not in described


def described_events(team: Builders) -> str:
    return team.kubectl("describe", "bkb", "demo").partition("\nEvents:\n")[2].rstrip()


def test_a_bad_spec_tells_its_story_once_with_the_page(team: Builders) -> None:
    team.create(daemon={"toml": "no toml"})
    team.wait_reason("InvalidToml")

    described = team.wait("it is told", lambda: described_events(team))

    assert described.count("Warning") == 1
    assert "https://docs.unreleased.invalid/reasons/InvalidToml/." in described


# Two managers


def test_client_side_apply_finds_nothing_to_change_in_what_the_operator_looked_at(team: Builders) -> None:
    manifest = builder(shared={"replicas": 1}, cache={"size": "30Gi"})
    apply(team, manifest)
    team.make_ready()

    assert "unchanged" in apply(team, manifest)
    assert diff(team, manifest) == ""


def test_server_side_apply_of_two_managers_and_the_operator_come_to_rest(team: Builders) -> None:
    manifest = builder(shared={"replicas": 1})
    for manager in ("people", "gitops"):
        apply(team, manifest, "--server-side", f"--field-manager={manager}")
    team.make_ready()
    before = team.get("buildkitbuilders", "demo")
    assert before is not None

    for manager in ("people", "gitops"):
        apply(team, manifest, "--server-side", f"--field-manager={manager}")
        assert diff(team, manifest, "--server-side", f"--field-manager={manager}") == ""

    after = team.get("buildkitbuilders", "demo")
    assert after is not None
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    assert "annotations" not in after["metadata"]
    assert "finalizers" not in after["metadata"]


@pytest.mark.parametrize("spec", [{"shared": {"drainTimeoutSeconds": 900}}, {"cache": {}}, {"daemon": {"dns": {}}}])
def test_server_side_apply_takes_over_from_client_side(team: Builders, spec: Manifest) -> None:
    manifest = builder(**spec)
    apply(team, manifest)

    for _ in range(2):
        apply(team, manifest, "--server-side")

    assert diff(team, manifest, "--server-side") == ""


@pytest.mark.parametrize("spec", [{"shared": {}}, {"injection": {}}, {"cache": {"persistentVolumeClaim": {}}}])
def test_it_does_not_take_over_an_empty_object(team: Builders, spec: Manifest) -> None:
    """The API server makes null of it, and refuses that: docs/scaling.md and docs/claims.md say so."""
    manifest = builder(**spec)
    apply(team, manifest)
    apply(team, manifest, "--server-side")

    with pytest.raises(subprocess.CalledProcessError) as refused:
        apply(team, manifest, "--server-side")

    assert 'Invalid value: "null"' in refused.value.stderr


# Scaling what has no number


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"mode": "Sidecar"}, "shared is only for mode Shared; remove it or set mode to Shared"),
        (
            {"shared": {"from": {"namespace": "ci", "name": "provider"}}},
            "from excludes everything else of shared: the other namespace's builder decides it",
        ),
    ],
)
def test_a_builder_without_daemons_of_its_own_says_why_it_cannot_be_scaled(
    team: Builders, spec: Manifest, sentence: str
) -> None:
    team.create(**spec)

    with pytest.raises(subprocess.CalledProcessError) as refused:
        team.kubectl("scale", "bkb/demo", "--replicas=2")

    assert sentence in refused.value.stderr


def builder(**spec: Any) -> Manifest:
    return {
        "apiVersion": "buildkit-operator.dev/v1alpha1",
        "kind": "BuildKitBuilder",
        "metadata": {"name": "demo"},
        "spec": {"mode": "Shared", **spec},
    }


def apply(team: Builders, manifest: Manifest, *flags: str) -> str:
    arguments = (f"--namespace={team.namespace}", "apply", *flags, "--filename=-")
    return team.control_plane.kubectl(*arguments, text=yaml.safe_dump(manifest))


def diff(team: Builders, manifest: Manifest, *flags: str) -> str:
    """Return what kubectl would change. Raises CalledProcessError where that is anything."""
    arguments = (f"--namespace={team.namespace}", "diff", *flags, "--filename=-")
    return team.control_plane.kubectl(*arguments, text=yaml.safe_dump(manifest))
