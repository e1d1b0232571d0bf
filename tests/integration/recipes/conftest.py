"""An API server with the builder that the samples ask for, once in each mode, and the policies that inject it."""

import json
from collections.abc import Iterator
from typing import Final

import pytest
import yaml

from buildkit_operator.admission import policies
from buildkit_operator.desired import injection
from buildkit_operator.desired.isolation import PodSecurity, confine
from buildkit_operator.desired.platform import Platform
from hack.cluster import artifacts
from hack.cluster.controlplane import ControlPlane
from hack.cluster.kubectl import wait_for
from tests.integration.admission.engines import Engine, Refusal
from tests.integration.conftest import CRDS
from tests.unit.make import make_builder

BUILDER: Final = "sidecar"
MODES: Final = ("Sidecar", "Shared")
DEFINITIONS: Final = {
    "files:arc": (
        "actions-runner-controller/crds/actions.summerwind.dev_runnerdeployments.yaml",
        "gha-runner-scale-set-controller/crds/actions.github.com_autoscalingrunnersets.yaml",
    ),
    "files:tekton": ("300-task.yaml", "300-taskrun.yaml"),
}
"""The definitions of other projects' resources, as their Go modules have them."""


@pytest.fixture(scope="package")
def engine() -> Iterator[Engine]:
    """Start it. A builder's mode is the name of its namespace, in small letters."""
    with ControlPlane() as server:
        server.apply_crds(CRDS)
        for mode in MODES:
            _create_builder(server, mode)
        server.kubectl("apply", "--server-side", "--filename=-", text=yaml.safe_dump_all(policies.manifests()))
        engine = Engine("policies", server)
        for mode in MODES:
            wait_for(f"pods of {mode} get their builder", lambda mode=mode: _is_effective(engine, mode))  # type: ignore[misc]
        yield engine


@pytest.fixture(scope="package")
def definitions(engine: Engine) -> None:
    """Let the API server know the kinds of the samples that are not Kubernetes' own."""
    folders = artifacts.ensure(*DEFINITIONS)
    for name, files in DEFINITIONS.items():
        for file in files:
            engine.control_plane.apply_crds(folders[name] / file)


def _create_builder(server: ControlPlane, mode: str) -> None:
    namespace = mode.lower()
    server.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    made = {
        "apiVersion": "buildkit-operator.dev/v1alpha1",
        "kind": "BuildKitBuilder",
        "metadata": {"name": BUILDER, "namespace": namespace},
        "spec": {"mode": mode},
    }
    path = f"/apis/buildkit-operator.dev/v1alpha1/namespaces/{namespace}/buildkitbuilders"
    created = server.request("POST", path, made)
    builder = make_builder(BUILDER, mode=mode)
    created["status"] = {"injection": injection.render(builder, Platform(), confine(builder.spec, PodSecurity()))}
    server.request("PUT", f"{path}/{BUILDER}/status", json.loads(json.dumps(created)))


def _is_effective(engine: Engine, mode: str) -> bool:
    pod = {
        "metadata": {
            "name": "probe",
            "namespace": mode.lower(),
            "labels": {"buildkit-operator.dev/builder": BUILDER},
        },
        "spec": {"containers": [{"name": "probe", "image": "probe"}]},
    }
    outcome = engine.create(pod)
    return not isinstance(outcome, Refusal) and "buildkit-operator.dev/injected" in outcome["metadata"]["labels"]
