"""What is said in several places, because each is read by other people or programs, is the same in all of them."""

import re
from pathlib import Path

import pytest

from buildkit_operator.api import crd, versions
from buildkit_operator.desired.platform import CONNECTOR_IMAGE, DEFAULT_IMAGE
from hack.cluster import pins
from hack.generate import passages

TOP = Path(__file__).parents[2]

RUNTIMES = f"containerd {versions.CONTAINERD.major} (or CRI-O {versions.CRI_O})"
SAID = {
    "README.md": [f"(Kubernetes {versions.OLDEST_KUBERNETES} or newer)"],
    "deploy/helm/buildkit-operator/Chart.yaml": [
        f'kubeVersion: ">={versions.OLDEST_KUBERNETES}.0-0"',
        f"from {versions.OLDEST_KUBERNETES} on",
    ],
    "deploy/helm/buildkit-operator/README.md": [
        f"Kubernetes {versions.OLDEST_KUBERNETES} and newer",
        f"Kubernetes {versions.POLICIES} and later",
    ],
    "deploy/helm/buildkit-operator/templates/_helpers.tpl": [f'semverCompare ">={versions.POLICIES}.0-0"'],
    "deploy/helm/buildkit-operator/values.schema.json": [f"from Kubernetes {versions.POLICIES} on"],
    "deploy/kustomize/base/kustomization.yaml": [f"Kubernetes {versions.OLDEST_KUBERNETES} or newer"],
    "deploy/kustomize/overlays/policies/kustomization.yaml": [f"from Kubernetes {versions.POLICIES} on"],
    "deploy/kustomize/overlays/webhook/kustomization.yaml": [f"Kubernetes before {versions.POLICIES}:"],
    "docs/cli.md": [
        f"Kubernetes {versions.OLDEST_KUBERNETES} or newer; from {versions.POLICIES} on",
        f"kubelet {versions.USER_NAMESPACES}, {RUNTIMES} and Linux {versions.LINUX}",
        f"before {versions.UNMASKED_PROC}, level baseline",
    ],
    "docs/index.md": [f"Kubernetes {versions.OLDEST_KUBERNETES} or newer"],
    "docs/install.md": [
        f"Kubernetes {versions.OLDEST_KUBERNETES} or newer",
        f"| {versions.POLICIES} or newer |",
        f"docker pull {pins.BUILDKIT_IMAGE} docker pull {pins.HAPROXY_IMAGE} ",
    ],
    "docs/platforms.md": [
        f"Kubernetes must be {versions.OLDEST_KUBERNETES} or newer",
        f"needs {versions.USER_NAMESPACES}, {RUNTIMES}",
        f"and Linux {versions.LINUX}",
    ],
    "docs/security.md": [f"the rules of Kubernetes {versions.UNMASKED_PROC}"],
}
"""Sentences with versions of Kubernetes, and what else clusters are made of, by file."""


def tagged(image: str) -> str:
    """Return an image without its digest."""
    return image.partition("@")[0]


def test_the_default_image_is_the_one_that_is_tested() -> None:
    assert tagged(DEFAULT_IMAGE) == pins.BUILDKIT_IMAGE
    assert tagged(CONNECTOR_IMAGE) == pins.HAPROXY_IMAGE


def samples_and_demo() -> list[Path]:
    samples = TOP / "deploy/samples"
    return [*samples.glob("*.yaml"), *samples.glob("quickstart/*.yaml"), *(TOP / "hack/demo").glob("*.yaml")]


def test_samples_and_the_demo_use_the_default_image() -> None:
    files = samples_and_demo()
    images = {image for file in files for image in re.findall(r"image: (\S*moby/buildkit\S*)", file.read_text())}

    assert images == {tagged(DEFAULT_IMAGE)}


def test_samples_and_the_demo_use_the_docker_client_that_is_tested() -> None:
    files = samples_and_demo()
    images = {image for file in files for image in re.findall(r"image: (\S*library/docker:\S*)", file.read_text())}

    assert images == {pins.DOCKER_IMAGE}


def test_the_installed_operator_is_of_this_version() -> None:
    files = (TOP / "deploy").rglob("*.yaml")
    images = {image for file in files for image in re.findall(r"image: (\S*buildkit-operator:\S*)", file.read_text())}

    assert images == {pins.OPERATOR_IMAGE}


def test_samples_for_gitops_name_this_version() -> None:
    # The tag in Git is a passage of its own: there is one only once there is a release.
    files = [*(TOP / "deploy/samples/gitops").glob("*.yaml"), TOP / "docs/gitops.md", passages.TABLE]
    named = r"(?:tag: |targetRevision: |\?ref=)v?(\d+(?:\.\d+)*)"
    versions_named = [found for file in files for found in re.findall(named, file.read_text(), re.MULTILINE)]

    assert len(versions_named) >= 5
    assert set(versions_named) == {pins.OPERATOR_IMAGE.rpartition(":")[2]}


def test_the_operators_image_is_built_on_the_base_that_clusters_get() -> None:
    assert re.search(
        rf"^ARG BASE={re.escape(pins.PYTHON_IMAGE)}@sha256:[0-9a-f]{{64}}$",
        (TOP / "deploy/Dockerfile").read_text(),
        re.MULTILINE,
    )


@pytest.mark.parametrize("file", SAID)
def test_every_page_and_manifest_tells_the_versions_that_the_code_goes_by(file: str) -> None:
    # Lines of prose are broken anywhere.
    text = " ".join((TOP / file).read_text().split())

    assert [sentence for sentence in SAID[file] if sentence not in text] == []


def test_no_page_names_another_version_to_be_the_oldest() -> None:
    files = [TOP / "README.md", *(TOP / "docs").rglob("*.md"), *(TOP / "deploy").rglob("*.yaml")]
    oldest = re.compile(r"Kubernetes (?:must be )?(1\.\d+) (?:or|and) newer")
    told = {
        (str(file.relative_to(TOP)), version)
        for file in files
        for version in oldest.findall(" ".join(file.read_text().split()))
    }
    # The engine depends on the policies' own.
    known = {str(versions.OLDEST_KUBERNETES), str(versions.POLICIES)}

    assert {(file, version) for file, version in told if version not in known} == set()


def test_the_crd_is_tried_on_the_oldest_kubernetes() -> None:
    assert pins.OLDEST_KUBERNETES.startswith(f"{versions.OLDEST_KUBERNETES}.")


def test_the_crd_tells_what_user_namespaces_need() -> None:
    needs = (
        f"for Kubernetes {versions.USER_NAMESPACES}, containerd {versions.CONTAINERD.major} and "
        f"Linux {versions.LINUX} or newer"
    )

    assert needs in " ".join(crd.render().split())
