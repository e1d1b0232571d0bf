"""`kubectl explain` as the manual of every field."""

from typing import Any, Final

from buildkit_operator.api import crd
from tests.integration.builders.builder_namespace import Builders

Schema = dict[str, Any]

SCHEMA: Final[Schema] = crd.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
SERVED: Final = "/openapi/v3/apis/buildkit-operator.dev/v1alpha1"
"""What kubectl explains by."""


def descriptions(schema: Schema, path: str) -> dict[str, str]:
    """Return the description of every field beneath, by its path as kubectl takes it."""
    schema = schema.get("items", schema)
    found = {}
    for name, child in schema.get("properties", {}).items():
        if "description" in child:
            found[f"{path}.{name}"] = child["description"]
        found |= descriptions(child, f"{path}.{name}")
    return found


def one_of_each_depth(wanted: dict[str, str]) -> list[str]:
    """Return a path of each depth."""
    return list({path.count("."): path for path in wanted}.values())


def test_every_path_is_served_with_its_description(cluster: Builders) -> None:
    wanted = descriptions(SCHEMA, "bkb")
    assert len(wanted) > 150

    schemas = cluster.control_plane.request("GET", SERVED)["components"]["schemas"]
    (kind,) = [schema for name, schema in schemas.items() if name.endswith(".BuildKitBuilder")]
    served = descriptions(kind, "bkb")

    assert {path: served.get(path) for path in wanted} == wanted


def test_kubectl_explains_a_path_in_the_words_of_its_description(cluster: Builders) -> None:
    """One of each depth: each is a process that reads the whole schema."""
    wanted = descriptions(SCHEMA, "bkb")

    told = {
        path: " ".join(cluster.control_plane.kubectl("explain", path).split()) for path in one_of_each_depth(wanted)
    }

    assert len(told) > 8
    assert [path for path in told if f"DESCRIPTION: {wanted[path]}" not in told[path]] == []


def test_the_whole_kind_is_explained_with_its_fields(cluster: Builders) -> None:
    said = cluster.control_plane.kubectl("explain", "bkb")

    assert SCHEMA["description"] in " ".join(said.split())
    assert all(f"\n  {field}\t<" in said for field in ("spec", "status", "metadata"))
