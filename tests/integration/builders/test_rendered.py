"""What `render` prints is what the operator makes on a real API server, by the digest of what it says it applied."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from buildkit_operator.api import names
from buildkit_operator.controller.apply_set import stamped
from buildkit_operator.kube.diff import is_within
from buildkit_operator.kube.resources import Manifest
from tests.integration.builders.builder_namespace import MADE, Builders

PLURALS: Final = {resource.kind: resource.plural for resource in MADE}
EVERYTHING: Final = Path(__file__).parents[2] / "unit" / "golden" / "everything" / "builder.yaml"


def rendered(builders: Builders, folder: Path, *arguments: str) -> list[Manifest]:
    """Render the builders of a namespace, as kubectl prints them, and return what was printed."""
    file = folder / "builders.yaml"
    file.write_text(builders.kubectl("get", "bkb", "--output=yaml"))
    command = [sys.executable, "-m", "buildkit_operator", "render", "-f", str(file), "-o", "json"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
    items: list[Manifest] = json.loads(done.stdout)["items"]
    return items


def key(manifest: Manifest) -> str:
    return f"{PLURALS[manifest['kind']]}/{manifest['metadata']['name']}"


def compare(builders: Builders, printed: list[Manifest], name: str = "demo") -> None:
    """Compare a builder's status.injection and all its objects."""
    (builder,) = [o for o in printed if o["kind"] == "BuildKitBuilder" and o["metadata"]["name"] == name]
    objects = {key(o): o for o in printed if o["kind"] in PLURALS and o["metadata"]["name"].startswith(f"{name}-")}
    wanted = objects.keys()
    live = builders.wait("all objects", lambda: _all(builders, name, wanted))

    assert (
        builders.wait("the injection", lambda: builders.status(name).get("injection"))
        == (builder["status"]["injection"])
    )
    assert live.keys() == wanted
    for found, manifest in objects.items():
        if manifest["kind"] == "Secret":
            assert manifest["type"] == live[found]["type"]
            assert is_within(manifest["metadata"], live[found]["metadata"])
        else:
            assert stamp(completed(manifest, live[found])) == stamp_of(live[found]), found


def _all(builders: Builders, name: str, wanted: Any) -> dict[str, Manifest]:
    live = {found: child for found, child in builders.children().items() if f"/{name}-" in found}
    return live if wanted <= live.keys() else {}


def completed(manifest: Manifest, live: Manifest) -> Manifest:
    """Return a workload with the digest that render cannot know."""
    if "template" not in manifest.get("spec", {}):
        return manifest
    template = manifest["spec"]["template"]
    known = live["spec"]["template"]["metadata"]["annotations"][names.CONFIG_HASH]
    annotations = {**template["metadata"].get("annotations", {}), names.CONFIG_HASH: known}
    metadata = {**template["metadata"], "annotations": annotations}
    return {**manifest, "spec": {**manifest["spec"], "template": {**template, "metadata": metadata}}}


def stamp(manifest: Manifest) -> str:
    return stamp_of(stamped(manifest))


def stamp_of(manifest: Manifest) -> str:
    """Return the digest of what was applied, to the last field."""
    return str(manifest["metadata"]["annotations"][names.APPLIED_HASH])


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"mode": "Sidecar", "image": "example.com/buildkit:1"},
        {"shared": {"tls": {"mode": "Disabled"}}, "suspend": False},
        {"cache": {"persistentVolumeClaim": {}, "size": "30Gi"}, "shared": {"replicas": 2, "port": 4321}},
        {"shared": {"networkPolicy": {"from": [{"podSelector": {}}]}, "service": {"annotations": {"a": "b"}}}},
        yaml.safe_load(EVERYTHING.read_text()),
    ],
    ids=["shared", "sidecar", "without-tls", "claims", "network-policy", "everything"],
)
def test_what_is_rendered_is_what_the_operator_makes(builders: Builders, tmp_path: Path, spec: Manifest) -> None:
    builders.create_references(spec)
    builders.create(**spec)

    compare(builders, rendered(builders, tmp_path))


@pytest.mark.parametrize("level", ["baseline", "privileged"])
def test_a_namespaces_pod_security_is_told_by_flags(builders: Builders, tmp_path: Path, level: str) -> None:
    prefix = "pod-security.kubernetes.io/enforce"
    labels = (f"{prefix}={level}", f"{prefix}-version=v1.34")
    builders.kubectl("label", "--overwrite", "namespace", builders.namespace, *labels)
    builders.create(mode="Sidecar", isolation="UserNamespace")

    compare(
        builders,
        rendered(builders, tmp_path, f"--pod-security={level}", f"--namespace-label={labels[1]}"),
    )


def test_a_consumer_with_its_provider_is_rendered_as_it_is_made(builders: Builders, tmp_path: Path) -> None:
    builders.create("provider", shared={"allowedNamespaces": {"names": [builders.namespace]}, "port": 4321})
    builders.create("team", shared={"from": {"namespace": builders.namespace, "name": "provider"}})

    printed = rendered(builders, tmp_path)

    compare(builders, printed, "team")
    compare(builders, printed, "provider")
