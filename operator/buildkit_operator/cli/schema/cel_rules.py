"""CEL validation rules of the CRD, evaluated as the API server does.

See apiextensions-apiserver, pkg/apiserver/schema/cel/validation.go.
Of Kubernetes' own functions there are those that our rules use (apiserver, pkg/cel/library).
"""

from __future__ import annotations

import ipaddress
import re
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import cache
from typing import Any, Final

import celpy
from celpy import celtypes
from celpy.adapter import json_to_cel

from buildkit_operator.cli.schema.field_errors import OMITTED, FieldError
from buildkit_operator.cli.schema.structural import Schema
from buildkit_operator.kube import quantity


def check(value: Any, schema: Schema, path: str = "") -> Iterator[FieldError]:
    """Yield what the rules say to a value that fits the schema, and to all that is in it."""
    for rule in schema.get("x-kubernetes-validations", ()):
        if not _holds(rule["rule"], value):
            # Objects and lists are too long to be told.
            told = OMITTED if schema.get("type") in ("object", "array") else value
            yield FieldError((path or "<nil>") + rule.get("fieldPath", ""), "Invalid value", told, rule["message"])
    if isinstance(value, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        for name, child in value.items():
            if name in properties:
                yield from check(child, properties[name], f"{path}.{name}" if path else name)
            elif others:
                yield from check(child, others, f"{path}[{name}]")
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from check(item, schema.get("items", {}), f"{path}[{position}]")


def _holds(rule: str, value: Any) -> bool:
    """Tell whether a rule holds of a value. One on changes holds: what is created was nothing else before."""
    if re.search(r"\boldSelf\b", rule):
        return True
    return bool(_program(rule).evaluate({"self": json_to_cel(value)}))


@cache
def _program(rule: str) -> celpy.Runner:
    environment = _environment()
    return environment.program(environment.compile(rule), functions=dict(_FUNCTIONS))


@cache
def _environment() -> celpy.Environment:
    """Return an environment without variables' types, and the interpreter as it was: the library raises its limit."""
    limit = sys.getrecursionlimit()
    environment = celpy.Environment()
    sys.setrecursionlimit(limit)
    return environment


def _is_ip(text: str) -> bool:
    """Tell whether a text is an address, without a zone and no IPv4 address in IPv6's clothes (library/ip.go)."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text and getattr(address, "ipv4_mapped", None) is None


def _is_cidr(text: str) -> bool:
    """Tell whether a text is a range of addresses; bits beyond its prefix may be set (library/cidr.go)."""
    address, _, bits = text.partition("/")
    longest = 128 if ":" in address else 32
    return _is_ip(address) and re.fullmatch("0|[1-9][0-9]{0,2}", bits) is not None and int(bits) <= longest


def _quantity(text: str) -> Decimal:
    """Return the number that a quantity stands for; for one out of range, one that is as far as they go.

    Raises ValueError for what is none: a rule is evaluated whole, and may do without this part.
    """
    if not quantity.is_quantity(text):
        raise ValueError(f"{text!r} is not a quantity")
    try:
        return quantity.value(text)
    except ValueError:
        number, exponent = re.split("[eE]", text)
        return Decimal(number).scaleb(quantity.MAX_EXPONENT * (-1 if exponent.startswith("-") else 1))


def _compare(one: Decimal, other: Decimal) -> celtypes.IntType:
    return celtypes.IntType((one > other) - (one < other))


def _told(test: Callable[[str], bool]) -> Callable[[str], celtypes.BoolType]:
    return lambda text: celtypes.BoolType(test(text))


_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "sum": lambda numbers: celtypes.IntType(sum(numbers)),
    "isIP": _told(_is_ip),
    "isCIDR": _told(_is_cidr),
    "isQuantity": _told(quantity.is_quantity),
    "quantity": _quantity,
    "compareTo": _compare,
    "isGreaterThan": lambda one, other: celtypes.BoolType(one > other),
}
