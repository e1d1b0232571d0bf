"""What lies in Git and what lies in the cluster stay the same: no tool sees a difference, none fights another."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from buildkit_operator.kube.resources import Manifest
from tests.integration.builders.builder_namespace import Builders

SPECS: Final = Path(__file__).parents[2] / "unit" / "golden"
CASES: Final = ("minimal", "everything", "claims", "sidecar", "sidecar-everything")

CLIENT_SIDE: Final = ()
SERVER_SIDE: Final = ("--server-side",)
ARGO: Final = ("--server-side", "--field-manager=argocd-controller")
FLUX: Final = ("--server-side", "--field-manager=kustomize-controller")

LABELS: Final = {
    "app.kubernetes.io/instance": "app-of-argo-cd",
    "app.kubernetes.io/managed-by": "Helm",
    "argocd.argoproj.io/instance": "app-of-argo-cd",
    "helm.sh/chart": "builders-1.0.0",
    "kustomize.toolkit.fluxcd.io/name": "builders",
    "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
    "helm.toolkit.fluxcd.io/name": "builders",
}
ANNOTATIONS: Final = {
    "argocd.argoproj.io/tracking-id": "app-of-argo-cd:buildkit-operator.dev/BuildKitBuilder:ci/demo",
    "argocd.argoproj.io/sync-wave": "2",
    "argocd.argoproj.io/sync-options": "ServerSideApply=true",
    "kustomize.toolkit.fluxcd.io/prune": "enabled",
    "meta.helm.sh/release-name": "builders",
}


def write(folder: Path, spec: Manifest, **metadata: Any) -> str:
    """Write a builder as it lies in Git and return the flag that names its file."""
    file = folder / "builder.yaml"
    manifest = {
        "apiVersion": "buildkit-operator.dev/v1alpha1",
        "kind": "BuildKitBuilder",
        "metadata": {"name": "demo", **metadata},
        "spec": spec,
    }
    file.write_text(yaml.safe_dump(manifest))
    return f"--filename={file}"


def spec_of(case: str) -> Manifest:
    spec: Manifest = yaml.safe_load((SPECS / case / "builder.yaml").read_text())
    return {"mode": "Shared", **spec}


@pytest.fixture
def team(builders: Builders, policies: None) -> Builders:  # noqa: ARG001  they are in force
    """Return a namespace."""
    return builders


def settle(builders: Builders, spec: Manifest) -> None:
    """Play those who are not here, until the builder is ready."""
    if spec["mode"] == "Sidecar":
        builders.wait_reason("Available")
    else:
        on_claims = "persistentVolumeClaim" in spec.get("cache", {})
        builders.make_ready(plural="statefulsets" if on_claims else "deployments")


def differences(builders: Builders, file: str, flags: Sequence[str]) -> str:
    """Return what kubectl diff prints, nothing where there is no difference."""
    try:
        return builders.kubectl("diff", *flags, file)
    except subprocess.CalledProcessError as found:
        return str(found.stdout or found.stderr)


def builder(builders: Builders) -> Manifest:
    found = builders.get("buildkitbuilders", "demo")
    assert found is not None
    return found


# No difference


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("applier", [CLIENT_SIDE, SERVER_SIDE, ARGO], ids=["client-side", "server-side", "argo-cd"])
def test_nobody_sees_a_difference_once_the_operator_has_done_its_part(
    team: Builders, tmp_path: Path, case: str, applier: Sequence[str]
) -> None:
    spec = spec_of(case)
    team.create_references(spec)
    file = write(tmp_path, spec)
    team.kubectl("apply", *applier, file)
    created = builder(team)

    settle(team, spec)

    assert differences(team, file, applier) == ""
    # Another tool may look, which asks what its own apply would change.
    for flags in (ARGO, FLUX):
        assert differences(team, file, flags) == "", flags
    after = builder(team)
    assert after["spec"] == created["spec"]
    assert untold(after) == untold(created)


def untold(found: Manifest) -> Manifest:
    """Return a builder's metadata without what the API server itself counts."""
    return {key: value for key, value in found["metadata"].items() if key not in {"managedFields", "resourceVersion"}}


def test_what_is_in_git_and_not_in_the_cluster_is_seen(builders: Builders, tmp_path: Path) -> None:
    builders.kubectl("apply", write(tmp_path, {"mode": "Shared"}))

    file = write(tmp_path, {"mode": "Shared", "suspend": True})

    for flags in (CLIENT_SIDE, (*ARGO, "--force-conflicts")):
        assert "+  suspend: true" in differences(builders, file, flags)


@pytest.mark.parametrize("case", CASES)
def test_a_dry_run_of_argo_cds_gives_what_is_there(team: Builders, tmp_path: Path, case: str) -> None:
    """Argo CD's server-side diff compares the answer with the live object whole, so defaults must not be drift."""
    spec = spec_of(case)
    team.create_references(spec)
    tracked = {"annotations": {"argocd.argoproj.io/tracking-id": "builders:buildkit-operator.dev/BuildKitBuilder:demo"}}
    file = write(tmp_path, spec, **tracked)
    team.kubectl("apply", *ARGO, file)
    settle(team, spec)

    asked = ("apply", *ARGO, "--force-conflicts", "--dry-run=server", "--output=json", file)
    answer, live = json.loads(team.kubectl(*asked)), builder(team)

    assert answer["spec"] == live["spec"]
    assert untold(answer) == untold(live)


# Two managers


def test_git_and_an_autoscaler_do_not_fight_over_replicas_that_git_leaves_out(
    builders: Builders, tmp_path: Path
) -> None:
    file = write(tmp_path, {"mode": "Shared", "shared": {"drainTimeoutSeconds": 60}})
    builders.kubectl("apply", *FLUX, file)
    builders.kubectl("scale", "bkb/demo", "--replicas=4")
    builders.make_ready()
    before = builder(builders)["metadata"]["resourceVersion"]

    for flags in (FLUX, ARGO):
        assert differences(builders, file, flags) == ""
    builders.kubectl("apply", *FLUX, "--force-conflicts", file)

    after = builder(builders)
    assert after["spec"]["shared"]["replicas"] == 4
    assert after["metadata"]["resourceVersion"] == before


def test_replicas_in_git_are_taken_back_from_an_autoscaler(builders: Builders, tmp_path: Path) -> None:
    """Why the documentation has them left out, or ignored."""
    file = write(tmp_path, {"mode": "Shared", "shared": {"replicas": 1}})
    builders.kubectl("apply", *FLUX, file)

    builders.kubectl("scale", "bkb/demo", "--replicas=4")

    with pytest.raises(subprocess.CalledProcessError) as refused:
        builders.kubectl("apply", *FLUX, file)
    assert ".spec.shared.replicas" in refused.value.stderr
    builders.kubectl("apply", *FLUX, "--force-conflicts", file)
    assert builder(builders)["spec"]["shared"]["replicas"] == 1


# Children


@pytest.mark.parametrize("case", CASES)
def test_nothing_by_which_a_gitops_tool_knows_its_own_reaches_the_children(
    team: Builders, tmp_path: Path, case: str
) -> None:
    spec = spec_of(case)
    team.create_references(spec)
    team.kubectl("apply", *ARGO, write(tmp_path, spec, labels=LABELS, annotations=ANNOTATIONS))
    settle(team, spec)

    children = team.children()

    assert children
    for name, child in children.items():
        for told in metadata_within(child):
            for key, value in {**LABELS, **ANNOTATIONS}.items():
                assert told.get(key) != value, name
        for key in {*LABELS, *ANNOTATIONS} - {"app.kubernetes.io/instance", "app.kubernetes.io/managed-by"}:
            assert not [told for told in metadata_within(child) if key in told], (name, key)
        # Argo CD prunes what has its label and no owner; of owned objects it asks the owner's place in Git.
        (owner,) = child["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["controller"]) == ("BuildKitBuilder", "demo", True)


def test_a_claim_that_outlives_its_builder_is_no_applications(builders: Builders) -> None:
    """It has no owner, so an application named like the builder would prune it for the others' label."""
    builders.create(cache={"persistentVolumeClaim": {}})
    builders.make_ready(plural="statefulsets")

    stateful_set = builders.get("statefulsets", "demo-buildkitd") or {}

    (template,) = stateful_set["spec"]["volumeClaimTemplates"]
    assert template["metadata"]["labels"]["buildkit-operator.dev/owner"] == "demo"
    assert "app.kubernetes.io/instance" not in template["metadata"]["labels"]


def metadata_within(value: Any) -> Iterator[dict[str, str]]:
    """Yield labels and annotations wherever they stand in an object, templates of pods and claims included."""
    if isinstance(value, list):
        for item in value:
            yield from metadata_within(item)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key in {"labels", "annotations", "matchLabels"} and isinstance(inner, dict):
                yield inner
            else:
                yield from metadata_within(inner)
