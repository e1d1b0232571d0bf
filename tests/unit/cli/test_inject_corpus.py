"""The pods that both engines are tested with on API servers, through the command line: the same comes of them."""

import json
from functools import cache
from typing import Any, Final

import pytest
import yaml

from buildkit_operator.kube import quantity
from buildkit_operator.kube.resources import Manifest
from tests.integration.admission.described import without_defaults
from tests.integration.admission.engines import HERE, NAMESPACES, as_resource, as_status, read_builders
from tests.unit.cli.run import Run

PODS: Final = sorted(file.stem for file in (HERE / "pods").glob("*.yaml"))


def load(text: str) -> Any:
    """Return what a golden file or a command's output says, by the parser in C: the one in Python is slow."""
    return yaml.load(text, Loader=yaml.CSafeLoader)


def as_json(*manifests: Manifest) -> str:
    """Return manifests as a file for the command; that it reads YAML is for other tests."""
    return "\n".join(map(json.dumps, manifests))


@cache
def all_builders() -> str:
    """Return the builders of those tests, whose rendering takes a while, as JSON: nobody is to change another's."""
    return json.dumps(read_builders())


def builders(pod: Manifest) -> str:
    """Return those builders of those tests that the pod may have to do with, as the API server has them there."""
    name = pod["metadata"].get("labels", {}).get("buildkit-operator.dev/builder")
    found = []
    for builder in json.loads(all_builders()):
        resource = as_resource(builder)
        metadata = {**resource["metadata"], "namespace": builder["namespace"]}
        if name in (None, metadata["name"]):
            # So it is while nobody has looked.
            status = as_status(builder) or {"observedGeneration": -1}
            found.append({**resource, "metadata": metadata, "status": status})
    return as_json(*found)


@pytest.mark.parametrize("name", PODS)
def test_a_pod_becomes_what_it_becomes_in_a_cluster(name: str, *, run: Run) -> None:
    pod = load((HERE / "pods" / f"{name}.yaml").read_text())
    golden = load((HERE / "golden" / f"{name}.yaml").read_text())
    labels = NAMESPACES.get(pod["metadata"]["namespace"], {})

    given = builders(pod)
    printed = run(
        *("inject", "-f", "builders.yaml", "-f", "pod.yaml") if given else ("inject", "-f", "pod.yaml"),
        *(f"--namespace-label={key}={value}" for key, value in labels.items()),
        builders=given,
        pod=as_json(pod),
    )

    if "refused" in golden:
        assert (printed.code, printed.out) == (1, "")
        assert printed.err.endswith(f": {golden['refused']}\n")
        return
    ours = load(printed.out)
    metadata = {key: ours["metadata"][key] for key in ("labels", "annotations") if key in ours["metadata"]}
    assert metadata == golden["metadata"]
    assert differences(without_defaults(ours["spec"]), golden["spec"]) == []
    assert (printed.code == 0) is has_builder(golden["spec"])


def has_builder(spec: Manifest) -> bool:
    sidecars = {"buildkitd", "buildkit-connector"}
    return any(c["name"] in sidecars and "restartPolicy" in c for c in spec.get("initContainers", []))


ADDED: Final[dict[str, list[Any]]] = {
    "restartPolicy": ["Always"],
    "serviceAccount": ["linux-gha-rs-no-permission", "runner"],
    "metadata": [{}],
    "volumeMode": ["Filesystem"],
    "protocol": ["TCP"],
    "divisor": ["0"],
    "failureThreshold": [3],
    "periodSeconds": [10],
    "successThreshold": [1],
    "timeoutSeconds": [1],
    "scheme": ["HTTP"],
}
"""What the API server adds where it is missing, and golden files tell."""

LEFT_OUT: Final[dict[str, Any]] = {"value": "", "medium": "", "hostNetwork": False, "hostPID": False, "hostIPC": False}
"""What it leaves out."""


def differences(ours: Any, golden: Any, path: str = "spec") -> list[str]:
    """Return where two pods differ, but for what the API server adds and how it writes quantities."""
    if isinstance(ours, dict) and isinstance(golden, dict):
        added = [key for key in golden.keys() - ours.keys() if golden[key] not in ADDED.get(key, [])]
        kept = [key for key in ours if key in golden or key not in LEFT_OUT or ours[key] != LEFT_OUT[key]]
        return [f"{path}.{key}: {golden[key]}" for key in sorted(added)] + [
            found for key in kept for found in differences(ours[key], golden.get(key), f"{path}.{key}")
        ]
    if isinstance(ours, list) and isinstance(golden, list) and len(ours) == len(golden):
        pairs = enumerate(zip(ours, golden, strict=True))
        return [found for number, pair in pairs for found in differences(*pair, f"{path}[{number}]")]
    is_same = ours == golden or quantity.is_same(str(ours), str(golden))
    return [] if is_same else [f"{path}: {ours} != {golden}"]


def test_there_are_many() -> None:
    assert len(PODS) > 60


def test_differences_are_found() -> None:
    one: Manifest = {"a": [{"b": 1}], "memory": "1024Ki"}

    assert differences(one, {"a": [{"b": 1}], "memory": "1Mi", "restartPolicy": "Always"}) == []
    assert differences(one, {"a": [{"b": 2}], "memory": "2Mi", "c": 1}) == [
        "spec.c: 1",
        "spec.a[0].b: 1 != 2",
        "spec.memory: 1024Ki != 2Mi",
    ]
