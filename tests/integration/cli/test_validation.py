"""Bad builders, sent to a real API server and shown to the command line: the same verdict, and the same sentences."""

import json
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from buildkit_operator.api import crd
from buildkit_operator.cli.schema import InvalidResource, created
from buildkit_operator.kube.resources import Manifest
from hack.cluster.controlplane import ControlPlane
from tests.support.specs import REFUSED, TAKEN

pytestmark = pytest.mark.usefixtures("crds")

SPEC: Final = crd.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
PATH: Final = "/apis/buildkit-operator.dev/v1alpha1/namespaces/default/buildkitbuilders"

ODD: Final[list[Any]] = [
    None,
    "",
    "x",
    "-1",
    "A word",
    "ünï\u200bcode",
    "10.0.0.0/8",
    "::ffff:10.0.0.1",
    "x" * 70000,
    0,
    -1,
    3,
    2**31,
    2**40,
    0.5,
    True,
    [],
    [None],
    ["x", "x"],
    [{}, {}],
    [3],
    {},
    {"x": None},
    {"x": "y"},
    {"x": 3},
    {"x": {"y": []}},
    {f"{number}": "x" for number in range(40)},
]
"""Values that most fields were not made for."""


@dataclass(frozen=True)
class Said:
    """What became of a builder."""

    message: str = ""
    """Why it was refused."""
    causes: frozenset[str] = frozenset()
    """The sentences that the message consists of; the API server tells several in any order."""
    stored: Manifest | None = None


def builder(name: str = "demo", **spec: Any) -> Manifest:
    return {
        "apiVersion": "buildkit-operator.dev/v1alpha1",
        "kind": "BuildKitBuilder",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"mode": "Shared", **spec},
    }


def by_server(control_plane: ControlPlane, manifest: Manifest) -> Said:
    try:
        stored = control_plane.request("POST", f"{PATH}?fieldValidation=Strict&dryRun=All", manifest)
    except urllib.error.HTTPError as error:
        status = json.loads(error.read())
        causes = (status.get("details") or {}).get("causes") or ()
        return Said(status["message"], frozenset(f"{cause['field']}: {cause['message']}" for cause in causes))
    return Said(stored=stored)


def check(control_plane: ControlPlane, manifest: Manifest) -> str:
    """Compare, and return what was said."""
    server = by_server(control_plane, manifest)
    try:
        stored = created(manifest)
    except InvalidResource as refused:
        ours = str(refused)
        assert len(ours) == len(server.message), f"{ours}\n{server.message}"
        if len(server.causes) < 2:
            assert ours == server.message
        assert [cause for cause in server.causes if cause not in ours] == []
        return ours
    assert server.message == ""
    assert server.stored is not None
    assert stored["spec"] == server.stored["spec"]
    return ""


@pytest.mark.parametrize("spec", [spec for spec, _, _ in REFUSED])
def test_a_bad_spec_is_refused_in_the_same_words(control_plane: ControlPlane, spec: Manifest) -> None:
    assert check(control_plane, builder(**spec))


@pytest.mark.parametrize("spec", TAKEN)
def test_a_good_spec_is_stored_the_same(control_plane: ControlPlane, spec: Manifest) -> None:
    assert check(control_plane, builder(**spec)) == ""


@pytest.mark.parametrize("name", ["", "1st", "a" * 41, "a" * 254, "a.b", "A", "a_b", "-", "fine"])
def test_a_name_is_judged_the_same(control_plane: ControlPlane, name: str) -> None:
    assert (check(control_plane, builder(name)) == "") is (name == "fine")


@pytest.mark.parametrize(
    "manifest",
    [
        builder(chache={}),
        builder(shared={"replica": 2, "tls": {"names": []}}, env=[{"name": "A", "from": "b"}], more=1),
        builder() | {"extra": {"a": 1}, "kind": "BuildKitBuilder"},
        builder() | {"status": {"injektion": {}}},
        builder() | {"status": {"injection": {"initContainers": [{"name": "a", "any": {"thing": 1}}]}}},
        builder() | {"metadata": {"name": "demo", "namespace": "default", "label": {"a": "b"}}},
        {key: value for key, value in builder().items() if key != "spec"},
        builder() | {"spec": None},
        builder() | {"spec": "none"},
        builder() | {"spec": {}},
    ],
)
def test_fields_of_the_whole_are_judged_the_same(control_plane: ControlPlane, manifest: Manifest) -> None:
    check(control_plane, manifest)


def fields(schema: Manifest, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of each field, and of an item of each list and map."""
    if path:
        yield path
    for name, child in schema.get("properties", {}).items():
        yield from fields(child, (*path, name))
    if "items" in schema:
        yield from fields(schema["items"], (*path, 0))
    if isinstance(schema.get("additionalProperties"), dict):
        yield from fields(schema["additionalProperties"], (*path, "key"))


def distinct() -> list[tuple[str | int, ...]]:
    """Return the paths of all fields, of an affinity's the first of each kind: it has selectors eight times."""
    found: dict[str, tuple[str | int, ...]] = {}
    for path in fields(SPEC):
        kind = f"affinity {path[-2:]}" if "affinity" in path else str(path)
        found.setdefault(kind, path)
    return list(found.values())


def holding(path: tuple[str | int, ...], value: Any) -> Any:
    """Return a value within objects and lists that have nothing else."""
    for part in reversed(path):
        value = [value] if isinstance(part, int) else {part: value}
    return value


@pytest.mark.parametrize("path", distinct(), ids=lambda path: ".".join(map(str, path)))
def test_odd_values_in_any_field_are_judged_the_same(control_plane: ControlPlane, path: tuple[str | int, ...]) -> None:
    refused = 0
    for value in ODD:
        refused += check(control_plane, builder(**holding(path, value))) != ""

    assert refused > 0
