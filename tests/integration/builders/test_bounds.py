"""Bounds of a spec: the largest builder has a status, and so has one that was stored before there were any."""

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from buildkit_operator.api import crd, names
from buildkit_operator.kube.resources import Manifest
from hack.cluster.controlplane import ControlPlane
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.conftest import StartOperator
from tests.support import largest
from tests.support.specs import nested

ETCD: Final = 1_572_864
"""Bytes of a request that etcd takes (--max-request-bytes)."""


@pytest.mark.parametrize("spec", [largest.shared(), largest.sidecar()], ids=["Shared", "Sidecar"])
def test_the_largest_builder_has_a_status_and_room_in_etcd(builders: Builders, spec: Manifest) -> None:
    name = "a" * names.MAX_NAME_LENGTH_WITH_ARCHITECTURES
    builders.create(name, **spec)

    builders.wait("a status", lambda: builders.status(name)["observedGeneration"] == 1)

    stored = builders.get("buildkitbuilders", name)
    assert stored is not None
    assert builders.condition(name=name)["reason"] in (
        "Progressing",
        "Available",
        "ClaimNotFound",
        "SecretNotFound",
    )
    in_etcd = json.dumps(stored, separators=(",", ":"), ensure_ascii=False).replace("<", r"\u003c")
    assert len(in_etcd.encode()) < ETCD * 0.85


STORED: Final[dict[str, Manifest]] = {
    "affinity": nested("shared.pod.affinity", {"podAntiAffinity": {"anything": ["goes", 1]}}),
    "annotations": nested("shared.service.annotations", {"argocd.argoproj.io/tracking-id": "other:apps/Deployment"}),
    "claim": nested("injection.localCache", {"claimName": "../../kube-system/secrets/x"}),
    "claim-of-a-list": nested("injection.localCache", {"claimName": "?"}),
    "env": nested("env", [{"name": f"A{number}", "value": "x" * 30_000} for number in range(30)]),
    "labels": nested("shared.pod.labels", {"a b": "c d"}),
    "memory": nested("resources.limits", {"memory": "-1"}),
    "mount": nested("injection.localCache", {"claimName": "a", "mountPath": "/usr/bin"}),
    "open-to-all": nested("shared", {"tls": {"mode": "Disabled"}, "service": {"type": "LoadBalancer"}}),
    "options": nested("daemon.dns", {"options": ["ndots:2\nnameserver 10.0.0.1"]}),
    "secret": nested("daemon.registries", [{"host": "a", "caSecretName": ".."}]),
    "size": nested("cache.size", "1e400"),
    "toml": nested("daemon.toml", "a." * 32_700 + "a = 1"),
}
"""What a former definition took, or one without any bounds, by the builder's name."""

READ: Final = {"affinity", "open-to-all"}
"""Those that are read all the same: what is unknown is pruned, and a rule of CEL alone is only the API server's."""


def unbounded() -> Manifest:
    """Return the definition without anything that a spec could break."""
    definition = crd.definition()
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    del schema["x-kubernetes-validations"]
    return definition


def test_what_was_stored_before_there_were_bounds_is_told_in_the_status(
    start_control_plane: Callable[..., ControlPlane], start_operator: StartOperator
) -> None:
    control_plane = start_control_plane()
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd.definition()['metadata']['name']}"
    builders = Builders(control_plane, "default")
    replace(control_plane, path, unbounded())
    for name, spec in STORED.items():
        builders.wait(f"{name} is stored", lambda: stored(builders, name, spec))  # noqa: B023  called at once
    replace(control_plane, path, crd.definition())

    start_operator(control_plane)

    for name in STORED:
        generation = builders.wait(f"{name} has a status", lambda: seen(builders, name))  # noqa: B023  called at once
        assert generation == 1
        ready = builders.condition(name=name)
        if name == "toml":
            assert "spec.daemon.toml has a key of more than 16 parts" in ready["message"]
        elif name not in READ:
            assert ready["reason"] == "InvalidSpec", (name, ready)
    assert "claimName: String should match pattern" in builders.condition(name="claim")["message"]


def replace(control_plane: ControlPlane, path: str, definition: Manifest) -> None:
    live = control_plane.request("GET", path)
    control_plane.request("PUT", path, live | {"spec": definition["spec"]})


def stored(builders: Builders, name: str, spec: Manifest) -> bool:
    """Create a builder unless the API server still goes by the former definition."""
    try:
        builders.create(name, **spec)
    except OSError:
        return False
    return True


def seen(builders: Builders, name: str) -> Any:
    found = builders.status(name).get("observedGeneration", -1)
    return found if found > 0 else None
