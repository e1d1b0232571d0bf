"""A client whose types lack fields writes an injected pod back: what it drops is kept, else the pod could never go."""

import json
import urllib.error
from typing import Any, Final

import pytest
import yaml

from buildkit_operator.kube.resources import Manifest
from tests.integration.admission.engines import HERE, Engine, Refusal

POD: Final = yaml.safe_load((HERE / "pods" / "evryfs-runner.yaml").read_text())

FIELDS: Final = (
    ("demo", "spec.initContainers.0.restartPolicy"),
    ("demo", "spec.initContainers.0.securityContext.appArmorProfile"),
    ("demo", "spec.initContainers.0.securityContext.seccompProfile"),
    ("isolated", "spec.initContainers.0.securityContext.procMount"),
    ("isolated", "spec.hostUsers"),
)


def inject(engine: Engine, builder: str) -> Manifest:
    """Create a pod with a builder, for real."""
    labels = {**POD["metadata"]["labels"], "buildkit-operator.dev/builder": builder}
    created = engine.create({**POD, "metadata": {**POD["metadata"], "labels": labels}}, dry_run=False)
    assert not isinstance(created, Refusal)
    return created


def write_back(engine: Engine, pod: Manifest) -> Manifest:
    path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
    updated: Manifest = engine.control_plane.request("PUT", path, pod)
    return updated


def drop(pod: Manifest, path: str) -> None:
    *parents, last = path.split(".")
    target: Any = pod
    for part in parents:
        target = target[int(part)] if part.isdigit() else target[part]
    del target[last]


@pytest.mark.parametrize(("builder", "path"), FIELDS, ids=lambda value: value.rsplit(".", 1)[-1])
def test_a_field_that_a_client_drops_is_kept(engine: Engine, builder: str, path: str) -> None:
    pod = inject(engine, builder)
    spec = json.dumps(pod["spec"])
    drop(pod, path)

    assert json.dumps(write_back(engine, pod)["spec"]) == spec


def test_evryfs_takes_its_finalizer_off(engine: Engine) -> None:
    pod = inject(engine, "demo")
    for path in ("spec.initContainers.0.restartPolicy", "spec.initContainers.0.securityContext.appArmorProfile"):
        drop(pod, path)
    del pod["metadata"]["finalizers"]

    assert "finalizers" not in write_back(engine, pod)["metadata"]


def test_a_change_that_is_none_of_these_is_refused_as_ever(engine: Engine) -> None:
    pod = inject(engine, "demo")
    pod["spec"]["initContainers"][0]["restartPolicy"] = "Never"

    with pytest.raises(urllib.error.HTTPError, match="422"):
        write_back(engine, pod)


def test_a_pod_without_a_builder_gets_nothing_back(engine: Engine) -> None:
    sidecar = {"name": "proxy", "image": "proxy", "restartPolicy": "Always"}
    metadata = {"generateName": "bare-", "namespace": "ci"}
    pod = engine.create({"metadata": metadata, "spec": {**POD["spec"], "initContainers": [sidecar]}}, dry_run=False)
    assert not isinstance(pod, Refusal)
    drop(pod, "spec.initContainers.0.restartPolicy")

    with pytest.raises(urllib.error.HTTPError, match="422"):
        write_back(engine, pod)
