"""What the scale subresource asks of the number of replicas (apiextensions-apiserver, registry/customresource)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from buildkit_operator.cli.schema.fields import FieldError

_LARGEST: Final = 2**31 - 1
_GO_TYPES: Final[dict[type, str]] = {
    bool: "bool",
    str: "string",
    float: "float64",
    int: "int64",
    list: "[]interface {}",
    dict: "map[string]interface {}",
}


def check(resource: dict[str, Any], path: str) -> Iterator[FieldError]:
    """Yield what is wrong with the number at a path such as `.spec.shared.replicas`, if there is one."""
    value: Any = resource
    *objects, last = path.removeprefix(".").split(".")
    walked = ""
    for name in objects:
        value, walked = value.get(name), f"{walked}.{name}"
        if value is None:
            return
        if not isinstance(value, dict):
            yield _accessor_error(path, walked, value, "map[string]interface{}")
            return
    number = value.get(last)
    if number is None:
        return
    if not isinstance(number, int) or isinstance(number, bool):
        yield _accessor_error(path, path, number, "int64")
    elif number < 0:
        yield FieldError(path, "Invalid value", number, "should be a non-negative integer")
    elif number > _LARGEST:
        yield FieldError(path, "Invalid value", number, f"should be less than or equal to {_LARGEST}")


def _accessor_error(path: str, where: str, value: Any, expected: str) -> FieldError:
    found = value if isinstance(value, str) else json.dumps(value)
    said = f"{where} accessor error: {found} is of the type {_GO_TYPES[type(value)]}, expected {expected}"
    return FieldError(path, "Invalid value", 0, said)
