"""Kubernetes quantities (`500m`, `1.5Gi`, `2e3`) and the number each stands for."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

MAX_EXPONENT: Final = 99
"""Of powers of ten; far beyond anything that there is on a node, and cheap to calculate with."""

_BINARY = {suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
_DECIMAL = {
    suffix: Decimal(1000) ** power
    for power, suffix in zip(range(-3, 7), ("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), strict=True)
}
_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+))(?P<suffix>[KMGTPE]i|[numkMGTPE]|[eE](?P<exponent>[+-]?\d{1,9}))?",
    re.ASCII,
)


def value(quantity: str) -> Decimal:
    """Return the number that a quantity stands for: bytes for memory and disk, cores for CPU.

    Raises ValueError when it is no quantity (apimachinery, pkg/api/resource/quantity.go), or one out of range.
    """
    match = _QUANTITY.fullmatch(quantity)
    if match is None:
        raise ValueError(f"{quantity!r} is not a quantity such as 500m, 2 or 20Gi")
    number, suffix, exponent = Decimal(match["number"]), match["suffix"] or "", int(match["exponent"] or 0)
    if abs(exponent) > MAX_EXPONENT:
        raise ValueError(f"{quantity!r} is out of range")
    if match["exponent"] is not None:
        return number.scaleb(exponent)
    return number * (_BINARY.get(suffix) or _DECIMAL[suffix])


def is_quantity(text: str) -> bool:
    """Tell whether a text is a quantity, though it may be one out of range, which the API server takes."""
    return _QUANTITY.fullmatch(text) is not None


def checked(quantity: str) -> str:
    """Return a quantity as it is. Raises ValueError when it is none."""
    value(quantity)
    return quantity


def is_same(one: str, other: str) -> bool:
    """Tell whether two quantities stand for the same number: the API server writes many of them in its own way."""
    try:
        return value(one) == value(other)
    except ValueError:
        return False
