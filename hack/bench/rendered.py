"""A test fixture of load: an API server without pods, Sidecar builders with their status, and runner pods."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from buildkit_operator.kube.resources import Manifest
from hack.bench.operators import CRDS, running
from hack.cluster.controlplane import ControlPlane
from hack.cluster.kubectl import wait_for
from hack.cluster.progress import step
from tests.integration.webhook.installation import prepare

LABEL: Final = "buildkit-operator.dev/builder"
BUILDERS: Final = (1, 20, 100)
"""In namespaces of their own."""

_API: Final = "/apis/buildkit-operator.dev/v1alpha1/namespaces/{namespace}/buildkitbuilders"


@contextmanager
def rendered_builders() -> Iterator[ControlPlane]:
    """Have an API server with the builders within the block; the operator has gone by then."""
    with ControlPlane() as control_plane, tempfile.TemporaryDirectory() as folder:
        control_plane.apply_crds(CRDS)
        prepare(control_plane)
        with step("Rendering builders"), running(control_plane, Path(folder) / "operator.log", lease=False):
            for builders in BUILDERS:
                _create(control_plane, namespace(builders), builders)
        yield control_plane


def namespace(builders: int) -> str:
    """Return the name of the namespace with so many builders, of which the first is builder-0."""
    return f"bench-{builders}"


def pods_path(builders: int) -> str:
    """Return where pods are created in that namespace without being stored."""
    return f"/api/v1/namespaces/{namespace(builders)}/pods?dryRun=All"


def runner_pod(builders: int, **labels: str) -> Manifest:
    """Return a runner's pod for that namespace, about as large as they are."""
    env = [{"name": f"RUNNER_{n}", "value": f"value of variable {n}"} for n in range(8)]
    runner = {
        "name": "runner",
        "image": "ghcr.io/actions/actions-runner:2.330.0",
        "command": ["/home/runner/run.sh"],
        "env": env,
        "volumeMounts": [{"name": "work", "mountPath": "/home/runner/_work"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "runner", "namespace": namespace(builders), "labels": {"app": "runner", **labels}},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {"fsGroup": 1001},
            "containers": [runner],
            "volumes": [{"name": "work", "emptyDir": {}}],
        },
    }


def _create(control_plane: ControlPlane, namespace: str, builders: int) -> None:
    path = _API.format(namespace=namespace)
    control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    for number in range(builders):
        builder = {
            "apiVersion": "buildkit-operator.dev/v1alpha1",
            "kind": "BuildKitBuilder",
            "metadata": {"name": f"builder-{number}"},
            "spec": {"mode": "Sidecar"},
        }
        control_plane.request("POST", path, builder)

    def all_are_rendered() -> bool:
        return all("injection" in item.get("status", {}) for item in control_plane.request("GET", path)["items"])

    wait_for("all builders to be rendered", all_are_rendered)
