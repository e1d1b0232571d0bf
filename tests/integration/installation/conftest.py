"""API servers in which the operator is installed by kustomize, whole or in some namespaces alone."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from hack.cluster import artifacts
from hack.cluster.controlplane import ControlPlane
from hack.generate import kustomize
from hack.generate.paths import KUSTOMIZE

NAMESPACE: Final = "buildkit-operator"
WATCHED: Final = ("team-a", "team-b")
"""Those of the overlay `namespaced`."""

Compose = Callable[..., Path]


@pytest.fixture(scope="session")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Compose:
    """Return kustomize.compose with a folder of its own for each overlay."""

    def compose(*components: str, watched: tuple[str, ...] = ()) -> Path:
        return kustomize.compose(tmp_path_factory.mktemp("overlay"), *components, watched=watched)

    return compose


def create_namespaces(control_plane: ControlPlane) -> None:
    """Create the namespaces that are watched, and ours, where Pod Security warns of what it would refuse."""
    for name in WATCHED:
        control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    control_plane.kubectl("apply", "--server-side", f"--filename={KUSTOMIZE / 'base/namespace.yaml'}")
    control_plane.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/warn=restricted")


def install(control_plane: ControlPlane, overlay: Path) -> str:
    """Apply an overlay as users do, but have every warning be an error, and return what kubectl said."""
    flags = ("--server-side", "--force-conflicts", "--validate=strict", "--warnings-as-errors")
    return control_plane.kubectl("apply", *flags, f"--kustomize={overlay}")


def know_prometheus_operator(control_plane: ControlPlane) -> None:
    """Let an API server know what the component `monitoring` is made of. The others of these CRDs are very large."""
    folder = artifacts.ensure("files:prometheus-operator")["files:prometheus-operator"]
    kinds = ("servicemonitors", "podmonitors", "prometheusrules")
    control_plane.apply_crds(*(folder / f"monitoring.coreos.com_{kind}.yaml" for kind in kinds))


@pytest.fixture(scope="session")
def installed() -> Iterator[ControlPlane]:
    """Start an API server that knows the Prometheus Operator's kinds, for overlays that are applied in turn."""
    with ControlPlane() as control_plane:
        know_prometheus_operator(control_plane)
        create_namespaces(control_plane)
        yield control_plane
