"""JSON of 9,900 levels in the API server: every process goes on, serves everybody else, and names the object."""

import json
from typing import Any, Final

import pytest

from buildkit_operator.kube.resources import Manifest
from hack.cluster.kubectl import wait_for
from tests.integration.hostile.processes import BUILDERS, Processes
from tests.support.hostile import DEEPEST, with_deep_managed_fields

NAMESPACE: Final = "hostile"
CORE: Final = f"/api/v1/namespaces/{NAMESPACE}"
LABELS: Final = {"buildkit-operator.dev/owner": "demo", "app.kubernetes.io/name": "buildkitd"}


def config_map(name: str) -> tuple[str, Manifest]:
    return f"{CORE}/configmaps", named("v1", "ConfigMap", name, data={"a": "b"})


def pod(name: str) -> tuple[str, Manifest]:
    containers = [{"name": "job", "image": "job"}]
    return f"{CORE}/pods", named("v1", "Pod", name, spec={"containers": containers})


def builder(name: str) -> tuple[str, Manifest]:
    spec = {"mode": "Shared"}
    path = BUILDERS.format(NAMESPACE)
    return path, named("buildkit-operator.dev/v1alpha1", "BuildKitBuilder", name, spec=spec)


def named(api_version: str, kind: str, name: str, **rest: Any) -> Manifest:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "labels": LABELS}, **rest}


KINDS: Final = {config_map: ("operator",), pod: ("operator",), builder: ("operator", "webhook")}
"""What is stored, and which processes list it."""


@pytest.mark.parametrize("levels", [1_000, DEEPEST])
def test_nobody_ends_and_everybody_names_it(hostile: Processes, levels: int) -> None:
    hostile.control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    store(hostile, "listed", levels)

    hostile.start()
    hostile.serve("default", "after-lists")
    store(hostile, "watched", levels)
    for make in KINDS:
        path, manifest = make("listed")
        patch = {"metadata": {"annotations": {"edited": "yes"}}}
        hostile.control_plane.send("PATCH", f"{path}/{manifest['metadata']['name']}", json.dumps(patch).encode())
    hostile.serve("default", "after-watches")

    for make, processes in KINDS.items():
        for name in ("listed", "watched"):
            for process in processes:
                wait_for_log(hostile, process, f"{make(name)[1]['kind']} {name} of namespace {NAMESPACE}")
    hostile.assert_alive()
    assert all(process.metric("buildkit_operator_unreadable_objects_total") for process in hostile.all.values())


def test_a_builder_with_deep_json_is_served_like_any_other(hostile: Processes) -> None:
    hostile.control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    path, manifest = builder("deep")
    hostile.control_plane.send("POST", path, with_deep_managed_fields(manifest))
    hostile.start()

    wait_for("its Deployment", lambda: deployments(hostile) == ["deep-buildkitd"], 20)


def deployments(hostile: Processes) -> list[str]:
    listed = hostile.control_plane.request("GET", f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments")["items"]
    return [found["metadata"]["name"] for found in listed]


def store(hostile: Processes, name: str, levels: int) -> None:
    for make in KINDS:
        path, manifest = make(name)
        answer, _ = hostile.control_plane.send("POST", path, with_deep_managed_fields(manifest, levels))
        assert answer.count(b'"f:a"') >= levels, "the API server stores all of it"


def wait_for_log(hostile: Processes, process: str, sentence: str) -> None:
    log = hostile.all[process].log
    wait_for(f"{process} to name {sentence}", lambda: sentence in log.read_text(), 20)
