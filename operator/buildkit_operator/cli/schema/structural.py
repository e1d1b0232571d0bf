"""Structural schema: unknown fields, pruned nulls and defaults (apiextensions-apiserver, pkg/apiserver/schema).

These change the value that they are given. Every field of ours is non-nullable: a null stands for nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Final, TypeAlias

Schema: TypeAlias = dict[str, Any]
"""A structural schema, as a CRD has it (OpenAPI v3 with extensions)."""

_TYPE: Final = frozenset({"apiVersion", "kind", "metadata"})

_METADATA: Final = frozenset(
    {
        "annotations",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "labels",
        "managedFields",
        "name",
        "namespace",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    }
)
"""Fields of an object's metadata (apimachinery, pkg/apis/meta/v1/types.go)."""


def unknown_fields(resource: dict[str, Any], schema: Schema) -> list[str]:
    """Return the paths of fields that the API server does not know, in its order."""
    metadata = [f"metadata.{key}" for key in resource.get("metadata") or {} if key not in _METADATA]
    rest = {key: value for key, value in resource.items() if key not in _TYPE}
    return [*metadata, *sorted(_unknown(rest, schema, ""))]


def _unknown(value: Any, schema: Schema | None, path: str) -> Iterator[str]:
    if schema is not None and schema.get("x-kubernetes-preserve-unknown-fields"):
        yield from _unknown_where_kept(value, schema, path)
    elif isinstance(value, dict):
        for key, child in value.items():
            below = f"{path}.{key}" if path else key
            child_schema = _of_field(key, schema)
            if child_schema is None:
                yield below
            else:
                yield from _unknown(child, child_schema, below)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _unknown(item, (schema or {}).get("items"), f"{path}[{position}]")


def _unknown_where_kept(value: Any, schema: Schema, path: str) -> Iterator[str]:
    """Yield what is unknown within known fields of an object that may have others too."""
    for key, child in value.items() if isinstance(value, dict) else ():
        child_schema = _of_field(key, schema)
        if child_schema is not None:
            yield from _unknown(child, child_schema, f"{path}.{key}")


def _of_field(name: str, schema: Schema | None) -> Schema | None:
    """Return the schema of an object's field; None where it has no such field."""
    if schema is None:
        return None
    found: Schema | None = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
    return found


def drop_nulls(value: Any, schema: Schema | None) -> None:
    """Remove nulls that no default is going to replace."""
    if isinstance(value, dict):
        for key, child in list(value.items()):
            child_schema = _of_field(key, schema)
            if child is None and child_schema is not None and "default" not in child_schema:
                del value[key]
            else:
                drop_nulls(child, child_schema)
    elif isinstance(value, list):
        for item in value:
            drop_nulls(item, (schema or {}).get("items"))


def fill_in(value: Any, schema: Schema) -> None:
    """Set the defaults of fields that are missing."""
    if isinstance(value, dict):
        for key, child in schema.get("properties", {}).items():
            if "default" in child and value.get(key) is None:
                value[key] = copy.deepcopy(child["default"])
        for key, present in value.items():
            fill_in(present, _of_field(key, schema) or {})
    elif isinstance(value, list):
        for item in value:
            fill_in(item, schema.get("items", {}))
