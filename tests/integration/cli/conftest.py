"""Three clusters: one where all is well, one with our resource alone, one that has never heard of us."""

from collections.abc import Iterator

import pytest

from hack.cluster.controlplane import ControlPlane
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.builder_operator import BuilderOperator
from tests.integration.cli.command import (
    OPERATOR,
    apply,
    create_namespace,
    create_node,
    play_deployment,
    print_manifests,
    shipped,
)
from tests.integration.conftest import CRDS


@pytest.fixture(scope="package")
def well(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Start an API server with everything installed, the real operator at work, and a node."""
    with ControlPlane() as control_plane:
        control_plane.apply_crds(CRDS)
        apply(
            control_plane,
            shipped("Namespace", OPERATOR),
            *(shipped(kind, OPERATOR) for kind in ("ServiceAccount", "ClusterRole", "ClusterRoleBinding")),
            *(shipped(kind, OPERATOR) for kind in ("Role", "RoleBinding", "Deployment")),
            shipped("ClusterRole", "buildkit-operator-view"),
            *(shipped("ValidatingAdmissionPolicy", f"{OPERATOR}-{part}") for part in ("probe", "daemons")),
            *(shipped("ValidatingAdmissionPolicyBinding", f"{OPERATOR}-{part}") for part in ("probe", "daemons")),
        )
        apply(control_plane, *print_manifests("policies"))
        play_deployment(control_plane, OPERATOR)
        create_node(control_plane, "new", kernel="6.12.13-talos")
        log = tmp_path_factory.mktemp("operator") / "log"
        operator = BuilderOperator(
            control_plane.kubeconfig, log, lease=True, identity="operator-1", lease_namespace=OPERATOR
        )
        try:
            operator.wait_ready()
            yield control_plane
        finally:
            operator.kill()


@pytest.fixture
def team(well: ControlPlane) -> Builders:
    """Return a namespace in the cluster where all is well."""
    return Builders(well, create_namespace(well))


@pytest.fixture(scope="package")
def plain() -> Iterator[ControlPlane]:
    """Start an API server that knows our resource, and has nothing else of ours."""
    with ControlPlane() as control_plane:
        control_plane.apply_crds(CRDS)
        yield control_plane


@pytest.fixture(scope="package")
def bare() -> Iterator[ControlPlane]:
    """Start an API server that has never heard of us."""
    with ControlPlane() as control_plane:
        yield control_plane
