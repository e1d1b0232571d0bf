"""What a pod of the samples must have become."""

from typing import Final

from buildkit_operator.kube.resources import Manifest
from tests.integration.admission.engines import Engine, Refusal

SIDECARS: Final = {"sidecar": "buildkitd", "shared": "buildkit-connector"}
KEY: Final = "buildkit-operator.dev/cache-key"
HOST: Final = {"name": "BUILDKIT_HOST", "value": "unix:///run/buildkit/buildkitd.sock"}


def create(engine: Engine, namespace: str, pod: Manifest) -> Manifest:
    """Have the API server create a pod, as a dry run, and return what it would store."""
    stored = engine.create({**pod, "metadata": {**pod["metadata"], "namespace": namespace}})
    assert not isinstance(stored, Refusal), stored.sentence
    return stored


def assert_builds(pod: Manifest, namespace: str) -> None:
    """Find the builder in front of all of the pod's containers, and its socket and variables in each of them."""
    sidecar, *own = pod["spec"]["initContainers"]
    assert sidecar["name"] == SIDECARS[namespace]
    assert sidecar["restartPolicy"] == "Always"
    for container in (*own, *pod["spec"]["containers"]):
        variables = {variable["name"]: variable for variable in container["env"]}
        assert variables["BUILDKIT_HOST"] == HOST
        assert variables["BUILDX_BUILDER"]["value"] == "buildkit"
        assert variables["BUILDX_CONFIG"]["value"] == f"/run/buildkit/buildx/{container['name']}"
        assert {"name": "buildkit-socket", "mountPath": "/run/buildkit"} in container["volumeMounts"]
