"""An API server and an operator for generated builders alone: nobody else's are there to be disturbed."""

from collections.abc import Iterator

import pytest

from hack.cluster.controlplane import ControlPlane
from tests.integration.builders.builder_operator import BuilderOperator
from tests.integration.builders.conftest import apply_policies
from tests.integration.conftest import CRDS


@pytest.fixture(scope="package")
def fuzz_plane() -> Iterator[ControlPlane]:
    with ControlPlane() as control_plane:
        control_plane.apply_crds(CRDS)
        apply_policies(control_plane)
        yield control_plane


@pytest.fixture(scope="package")
def fuzz_operator(fuzz_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuilderOperator]:
    operator = BuilderOperator(fuzz_plane.kubeconfig, tmp_path_factory.mktemp("operator") / "log")
    try:
        operator.wait_ready()
        yield operator
    finally:
        operator.kill()
