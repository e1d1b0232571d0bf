"""`kubectl explain` as the manual of every field."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from buildkit_operator.api import crd
from tests.integration.builders.builder_namespace import Builders

Schema = dict[str, Any]

SCHEMA: Final[Schema] = crd.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
WORKERS: Final = 2
"""How many run at once: each is a process that reads the whole schema."""


def descriptions(schema: Schema, path: str) -> dict[str, str]:
    """Return the description of every field beneath, by its path as kubectl takes it."""
    schema = schema.get("items", schema)
    found = {}
    for name, child in schema.get("properties", {}).items():
        if "description" in child:
            found[f"{path}.{name}"] = child["description"]
        found |= descriptions(child, f"{path}.{name}")
    return found


def test_every_path_is_explained_in_the_words_of_its_description(cluster: Builders) -> None:
    wanted = descriptions(SCHEMA, "bkb")
    assert len(wanted) > 150

    def explain(path: str) -> str:
        return " ".join(cluster.control_plane.kubectl("explain", path).split())

    with ThreadPoolExecutor(WORKERS) as workers:
        told = dict(zip(wanted, workers.map(explain, wanted), strict=True))

    assert [path for path in wanted if f"DESCRIPTION: {wanted[path]}" not in told[path]] == []


def test_the_whole_kind_is_explained_with_its_fields(cluster: Builders) -> None:
    said = cluster.control_plane.kubectl("explain", "bkb")

    assert SCHEMA["description"] in " ".join(said.split())
    assert all(f"\n  {field}\t<" in said for field in ("spec", "status", "metadata"))
