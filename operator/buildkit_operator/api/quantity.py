"""Kubernetes quantities (`500m`, `1.5Gi`, `2e3`): their value, and the one spelling the API server keeps of each."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

_BINARY = {suffix: Decimal(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)}
_DECIMAL = {
    suffix: Decimal(1000) ** power
    for power, suffix in zip(range(-3, 7), ("n", "u", "m", "", "k", "M", "G", "T", "P", "E"), strict=True)
}
_QUANTITY = re.compile(
    r"(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+))(?P<suffix>[KMGTPE]i|[numkMGTPE]|[eE](?P<exponent>[+-]?\d+))?"
)


def value(quantity: str) -> Decimal:
    """Return the number that a quantity stands for: bytes for memory and disk, cores for CPU.

    Raises ValueError when it is no quantity.
    """
    match = _QUANTITY.fullmatch(quantity)
    if match is None:
        raise ValueError(f"{quantity!r} is not a quantity such as 500m, 2 or 20Gi")
    number, suffix, exponent = Decimal(match["number"]), match["suffix"] or "", match["exponent"]
    if exponent is not None:
        return number.scaleb(int(exponent))
    return number * (_BINARY.get(suffix) or _DECIMAL[suffix])


def canonical(quantity: str) -> str:
    """Return the spelling that the API server stores: no fraction, the largest suffix that allows that.

    What we apply must be spelt so, or our own comparison would see a difference after each write
    (apimachinery, pkg/api/resource/quantity.go: "canonical form").

    Raises ValueError when it is no quantity.
    """
    number = value(quantity)
    match = _QUANTITY.fullmatch(quantity)
    if match is not None and match["exponent"] is not None:
        return _scientific(number)
    binary = match is not None and (match["suffix"] or "") in _BINARY
    # Below 1024 the binary suffixes have nothing to say, and sub-units exist in the decimal family only.
    if binary and abs(number) >= 1024 and number == number.to_integral_value():
        return _spell(number, {"": Decimal(1), **_BINARY})
    return _spell(number.quantize(_DECIMAL["n"], rounding=ROUND_CEILING), _DECIMAL)


def _spell(number: Decimal, suffixes: dict[str, Decimal]) -> str:
    if number == 0:
        return "0"
    suffix, unit = next((s, u) for s, u in reversed(suffixes.items()) if number % u == 0)
    return f"{int(number / unit)}{suffix}"


def _scientific(number: Decimal) -> str:
    exponent = next((e for e in range(18, -10, -3) if number % Decimal(10) ** e == 0), -9)
    mantissa = int(number.scaleb(-exponent))
    return f"{mantissa}e{exponent}" if exponent and mantissa else f"{mantissa}"
