"""Building blocks of the CRD's schema: the models' base, schema extensions, CEL rules."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from typing import Any, TypeAlias

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined


class Model(BaseModel):
    """Base of all: camelCase outside, unknown fields left to the API server, values never changed in place."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
    )


Rule: TypeAlias = dict[str, str]
"""A CEL validation rule, as a schema carries it."""

RuleOfModel: TypeAlias = Callable[[type[BaseModel]], Rule]
"""Makes a rule from the fields of the model that it is for."""


def rule(expression: str, message: str, field_path: str | None = None) -> Rule:
    """Return a CEL validation rule: what must hold and the sentence that a user reads when it does not."""
    return {"rule": expression, "message": message} | ({"fieldPath": field_path} if field_path else {})


def rules(*items: Rule) -> dict[str, Any]:
    """Return the schema extension that carries CEL rules."""
    return {"x-kubernetes-validations": list(items)}


def model_rules(*items: Rule | RuleOfModel) -> Callable[[dict[str, Any], type[BaseModel]], None]:
    """Return the same extension for a model of whose rules some are made from its fields."""

    def extend(schema: dict[str, Any], model: type[BaseModel]) -> None:
        schema.update(rules(*(item(model) if callable(item) else item for item in items)))

    return extend


def alone(unless: str, beside: Collection[str], message: str, field_path: str) -> RuleOfModel:
    """Return a rule on a model: unless an expression holds, no field may be set but those `beside`, by their own names.

    The API server fills in defaults first, so a field that has its default counts as one that is not set.
    """
    return lambda model: rule(f"{unless} || ({' && '.join(_unset(model, 'self', beside))})", message, field_path)


def _unset(model: type[BaseModel], path: str, leaving_out: Collection[str] = ()) -> Iterator[str]:
    """Yield what holds in CEL while nobody sets a field of a model."""
    for name, field in model.model_fields.items():
        place, default = f"{path}.{field.alias or name}", field.get_default(call_default_factory=True)
        if name in leaving_out:
            continue
        if isinstance(default, BaseModel) and _has_defaults(type(default)):
            yield from _unset(type(default), place)
        elif _is_told(default):
            if _is_int_or_string(field):
                yield f"type({place}) == string"
            yield f"{place} == {_literal(default)}"
        else:
            yield f"!has({place})"


def _has_defaults(model: type[BaseModel]) -> bool:
    """Tell whether the CRD has a default for the model, so that it is always there: see crd.structural."""
    defaults = [field.get_default(call_default_factory=True) for field in model.model_fields.values()]
    return any(_has_defaults(type(d)) if isinstance(d, BaseModel) else _is_told(d) for d in defaults)


def _is_told(default: Any) -> bool:
    """Tell whether the CRD has this default: emptiness is no value there, and a model's fields have their own."""
    return default is not PydanticUndefined and not isinstance(default, BaseModel) and default not in (None, [], {})


def _is_int_or_string(field: FieldInfo) -> bool:
    return isinstance(field.json_schema_extra, dict) and "x-kubernetes-int-or-string" in field.json_schema_extra


def _literal(value: str | int) -> str:
    """Return a value as CEL writes it. Raises ValueError for a text that would have to be escaped."""
    if not isinstance(value, str):
        return json.dumps(value)
    if not value.isprintable() or set(value) & set("'\\"):
        raise ValueError(f"{value!r} cannot stand in single quotes")
    return f"'{value}'"


def list_map(key: str) -> dict[str, Any]:
    """Return the schema extension of a list whose items are told apart by a key, so that managers can share it."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


SET: dict[str, Any] = {"x-kubernetes-list-type": "set"}
INT64: dict[str, Any] = {"format": "int64"}
ATOMIC: dict[str, Any] = {"x-kubernetes-list-type": "atomic"}
