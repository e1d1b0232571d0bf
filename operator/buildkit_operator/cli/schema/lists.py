"""List types set and map: items that may not occur twice (apiextensions-apiserver, pkg/apiserver/schema/listtype)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from buildkit_operator.cli.schema.field_errors import FieldError
from buildkit_operator.cli.schema.structural import Schema


def check(value: Any, schema: Schema, path: str = "") -> Iterator[FieldError]:
    """Yield the duplicates in all lists of a value."""
    if isinstance(value, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        for name, child in value.items():
            below = f"{path}.{name}" if path else name
            if name in properties:
                yield from check(child, properties[name], below)
            elif others:
                yield from check(child, others, f"{path}[{name}]")
    elif isinstance(value, list):
        yield from _duplicates(value, schema, path)
        for position, item in enumerate(value):
            yield from check(item, schema.get("items", {}), f"{path}[{position}]")


def _duplicates(items: list[Any], schema: Schema, path: str) -> Iterator[FieldError]:
    kind = schema.get("x-kubernetes-list-type")
    if kind == "set":
        yield from _repeated(items, path)
    elif kind == "map":
        odd = next((position for position, item in enumerate(items) if not isinstance(item, dict | None)), None)
        if odd is not None:
            detail = "must be an object for an array of list-type map"
            yield FieldError(f"{path}[{odd}]", "Invalid value", items[odd], detail)
            return
        (key,) = schema["x-kubernetes-list-map-keys"]
        yield from _repeated([{key: item[key]} if item and key in item else {} for item in items], path)


def _repeated(values: list[Any], path: str) -> Iterator[FieldError]:
    """Yield the second occurrence of each value, and no further ones."""
    seen: Counter[str] = Counter()
    for position, value in enumerate(values):
        encoded = json.dumps(value, sort_keys=True)
        seen[encoded] += 1
        if seen[encoded] == 2:
            yield FieldError(f"{path}[{position}]", "Duplicate value", value)
