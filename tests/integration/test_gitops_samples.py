"""The samples for Flux and Argo CD are what these accept, by their own definitions."""

from pathlib import Path
from typing import Final

import pytest
import yaml

from hack.cluster import artifacts
from hack.cluster.controlplane import ControlPlane

SAMPLES: Final = Path(__file__).parents[2] / "deploy" / "samples" / "gitops"
NAMESPACES: Final = ("argocd", "ci", "flux-system")


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
    said = gitops.kubectl("create", "--dry-run=server", "--validate=strict", f"--filename={SAMPLES / sample}")

    assert "created" in said
