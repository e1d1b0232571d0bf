"""The samples for Flux and Argo CD are what these accept, by their own definitions, and the chart takes its values."""

import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

from buildkit_operator.kube.resources import Manifest
from hack.cluster import artifacts
from hack.cluster.controlplane import ControlPlane

TOP: Final = Path(__file__).parents[2]
SAMPLES: Final = TOP / "deploy" / "samples" / "gitops"
NAMESPACES: Final = ("argocd", "ci", "flux-system")


def documents(sample: str) -> list[Manifest]:
    return list(yaml.safe_load_all((SAMPLES / sample).read_text()))


@pytest.fixture(scope="module")
def gitops(control_plane: ControlPlane, crds: None) -> ControlPlane:  # noqa: ARG001  they are known, too
    """Let the shared API server know what Flux and Argo CD know, and their namespaces."""
    folders = artifacts.ensure("files:flux", "files:flux-sources", "files:argocd")
    control_plane.apply_crds(
        folders["files:flux"], folders["files:flux-sources"], folders["files:argocd"] / "application-crd.yaml"
    )
    namespaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in NAMESPACES]
    control_plane.kubectl("apply", "--filename=-", text=yaml.safe_dump_all(namespaces))
    return control_plane


@pytest.mark.parametrize("sample", sorted(file.name for file in SAMPLES.glob("*.yaml")))
def test_a_sample_is_accepted(gitops: ControlPlane, sample: str) -> None:
    # The CRD of HelmRelease is in no Go module: its type is asked, below.
    known = [document for document in documents(sample) if document["kind"] != "HelmRelease"]

    # Other tests of the same API server may have made some of it.
    how = ("--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict")
    said = gitops.kubectl("apply", *how, "--filename=-", text=yaml.safe_dump_all(known))

    assert said.count("serverside-applied") == len(known)


def strict(release: Manifest) -> subprocess.CompletedProcess[str]:
    """Read a HelmRelease as helm-controller does, but for fields that it does not know."""
    program = artifacts.ensure("helm-release")["helm-release"] / "helm-release"
    return subprocess.run([program], input=yaml.safe_dump(release), text=True, capture_output=True, check=False)


def helm_release() -> Manifest:
    (found,) = (document for document in documents("flux-helm.yaml") if document["kind"] == "HelmRelease")
    return found


def test_the_helm_release_has_the_fields_of_its_type() -> None:
    release = helm_release()

    assert strict(release).stderr == ""
    assert "unknown field" in strict({**release, "spec": {**release["spec"], "chartReff": {}}}).stderr


def values_of_flux() -> Manifest:
    return helm_release()["spec"]["values"]  # type: ignore[no-any-return]


def values_of_argo_cd() -> Manifest:
    (application,) = documents("argocd-helm.yaml")
    return application["spec"]["source"]["helm"]["valuesObject"]  # type: ignore[no-any-return]


@pytest.mark.parametrize("values", [values_of_flux, values_of_argo_cd])
@pytest.mark.parametrize(("engine", "kind"), [("", "MutatingAdmissionPolicy"), ("Webhook", "Deployment")])
def test_the_chart_renders_with_the_values_of_a_sample_and_the_engine_is_pinned(
    tmp_path: Path, values: object, engine: str, kind: str
) -> None:
    given: Manifest = values()  # type: ignore[operator]
    assert given["injection"]["engine"] == "AdmissionPolicy"
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(given))
    helm = artifacts.ensure("helm")["helm"] / "helm"
    command = [str(helm), "template", "buildkit-operator", str(TOP / "deploy/helm/buildkit-operator")]
    command += ["--namespace=buildkit-operator", f"--values={tmp_path / 'values.yaml'}"]
    command += [f"--set=injection.engine={engine}"] if engine else []
    # As a tool that renders without a cluster does: of one that has no policies.
    command += ["--kube-version=1.31.0"]

    rendered = subprocess.run(command, text=True, capture_output=True, check=True).stdout

    made = {(document["kind"], document["metadata"]["name"]) for document in yaml.safe_load_all(rendered) if document}
    assert any(found == kind for found, _ in made)
    assert (("Deployment", "buildkit-operator-webhook") in made) is (engine == "Webhook")
    assert ("CustomResourceDefinition", "buildkitbuilders.buildkit-operator.dev") in made
