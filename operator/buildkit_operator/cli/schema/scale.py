"""Validation of the scale subresource's replicas path (apiextensions-apiserver, registry/customresource)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from buildkit_operator.cli.schema.field_errors import FieldError

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
    number: Any = resource
    walked = ""
    for name in path.removeprefix(".").split("."):
        walked += f".{name}"
        if not isinstance(number, dict):
            yield _accessor_error(path, walked, number, "map[string]interface{}")
            return
        number = number.get(name)
        if number is None:
            return
    if not isinstance(number, int) or isinstance(number, bool):
        yield _accessor_error(path, path, number, "int64")
    elif number < 0:
        yield FieldError(path, "Invalid value", number, "should be a non-negative integer")
    elif number > _LARGEST:
        yield FieldError(path, "Invalid value", number, f"should be less than or equal to {_LARGEST}")


def _accessor_error(path: str, walked: str, value: Any, expected: str) -> FieldError:
    said = f"{walked} accessor error: {_printed(value)} is of the type {_GO_TYPES[type(value)]}, expected {expected}"
    return FieldError(path, "Invalid value", 0, said)


def _printed(value: Any) -> str:
    """Return a value as Go prints it (fmt's %v)."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_printed(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(_printed, value))}]"
    return "<nil>" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
