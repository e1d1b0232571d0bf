"""OpenAPI schema validation, in the words of the API server (kube-openapi, pkg/validation/validate and errors)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import re2

from buildkit_operator.cli.schema.field_errors import OMITTED, FieldError, quoted
from buildkit_operator.cli.schema.structural import Schema

_INTEGERS: Final = {"int32": range(-(2**31), 2**31), "int64": range(-(2**63), 2**63)}
_SUBDOMAIN: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_ALPHANUMERIC: Final = "and must start and end with an alphanumeric character"


def check_name(resource: dict[str, Any]) -> Iterator[FieldError]:
    """Yield what the API server says to the name and namespace of any object."""
    name, namespace = resource["metadata"].get("name") or "", resource["metadata"]["namespace"]
    if not name:
        yield FieldError("metadata.name", "Required value", detail="name or generateName is required", blocks=True)
    if len(name) > 253:
        yield FieldError("metadata.name", "Invalid value", name, "must be no more than 253 characters")
    if name and not re2.fullmatch(_SUBDOMAIN, name):
        said = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
        yield FieldError("metadata.name", "Invalid value", name, said + _hint(_SUBDOMAIN, "example.com"))
    if len(namespace) > 63:
        yield FieldError("metadata.namespace", "Invalid value", namespace, "must be no more than 63 characters")
    if not re2.fullmatch(_LABEL, namespace):
        said = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
        yield FieldError("metadata.namespace", "Invalid value", namespace, said + _hint(_LABEL, "my-name", "123-abc"))


def _hint(pattern: str, *examples: str) -> str:
    such = " or ".join(f"'{example}', " for example in examples)
    return f"{_ALPHANUMERIC} (e.g. {such}regex used for validation is '{pattern}')"


def check(value: Any, schema: Schema, path: str = "") -> Iterator[FieldError]:
    """Yield what is wrong with a value and all that is in it."""
    wrong = _type_error(value, schema)
    if wrong is not None:
        said, found = wrong
        detail = f"{path} in body must be of type {said}: {quoted(found)}"
        yield FieldError(path, "Invalid value", found, detail, blocks=True)
    if isinstance(value, str):
        yield from _string(value, schema, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number(value, schema, path)
    elif isinstance(value, list):
        yield from _list(value, schema, path)
    if "enum" in schema and value not in schema["enum"]:
        supported = ", ".join(map(quoted, schema["enum"]))
        yield FieldError(path, "Unsupported value", value, f"supported values: {supported}", blocks=True)
    if isinstance(value, dict):
        yield from _object(value, schema, path)


def _type_error(value: Any, schema: Schema) -> tuple[str, str] | None:
    """Return the type that a value should be of, and the one that it is of; None where these are the same."""
    wanted = ["integer", "string"] if schema.get("x-kubernetes-int-or-string") else [schema.get("type")]
    found = _type_of(value)
    if wanted == [None] or found in wanted:
        return None
    # The API server calls numbers by the size they are meant to have.
    size = schema.get("format")
    if size is not None and found not in ("string", "array", "null"):
        return size, "float64" if found == "number" else ""
    return ",".join(map(str, wanted)), found


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    kinds = {bool: "boolean", str: "string", int: "integer", float: "number", list: "array", dict: "object"}
    return kinds[type(value)]


def _string(value: str, schema: Schema, path: str) -> Iterator[FieldError]:
    """Yield the first thing that is wrong with a string."""
    longest, shortest, pattern = schema.get("maxLength"), schema.get("minLength", 0), schema.get("pattern")
    if longest is not None and len(value) > longest:
        detail = f"may not be more than {longest} {'byte' if longest == 1 else 'bytes'}"
        yield FieldError(path, "Too long", OMITTED, detail, blocks=True)
    elif len(value) < shortest:
        yield FieldError(path, "Invalid value", value, f"{path} in body should be at least {shortest} chars long")
    elif pattern is not None and not re2.search(pattern, value):
        yield FieldError(path, "Invalid value", value, f"{path} in body should match '{pattern}'")


def _number(value: float, schema: Schema, path: str) -> Iterator[FieldError]:
    allowed = _INTEGERS.get(schema.get("format", ""))
    if allowed is not None and not (isinstance(value, int) and value in allowed):
        detail = f"Checked value must be of type integer with format {schema['format']} in {path}"
        yield FieldError("<nil>", "Invalid value", "", detail)
    smallest, largest = schema.get("minimum"), schema.get("maximum")
    if smallest is not None and value < smallest:
        detail = f"{path} in body should be greater than or equal to {smallest}"
        yield FieldError(path, "Invalid value", value, detail)
    if largest is not None and value > largest:
        yield FieldError(path, "Invalid value", value, f"{path} in body should be less than or equal to {largest}")


def _list(value: list[Any], schema: Schema, path: str) -> Iterator[FieldError]:
    for position, item in enumerate(value):
        yield from check(item, schema.get("items", {}), f"{path}[{position}]")
    if len(value) < schema.get("minItems", 0):
        detail = f"{path} in body should have at least {schema['minItems']} items"
        yield FieldError(path, "Invalid value", len(value), detail)
    yield from _too_many(value, schema.get("maxItems"), path)


def _object(value: dict[str, Any], schema: Schema, path: str) -> Iterator[FieldError]:
    if len(value) < schema.get("minProperties", 0):
        detail = f"{path} in body should have at least {schema['minProperties']} properties"
        yield FieldError(path, "Invalid value", len(value), detail)
    yield from _too_many(value, schema.get("maxProperties"), path)
    properties, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    for name, child in value.items():
        yield from check(child, properties.get(name, others), f"{path}.{name}" if path else name)
    for name in schema.get("required", ()):
        if name not in value:
            yield FieldError(f"{path}.{name}" if path else name, "Required value", blocks=True)


def _too_many(value: list[Any] | dict[str, Any], most: int | None, path: str) -> Iterator[FieldError]:
    if most is not None and len(value) > most:
        detail = f"must have at most {most} {'item' if most == 1 else 'items'}"
        yield FieldError(path, "Too many", len(value), detail, blocks=True)
