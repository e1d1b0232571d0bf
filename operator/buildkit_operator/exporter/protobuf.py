"""Protobuf wire format, as much of it as reads a few fields of the daemon's answers.

Three answers with five fields are read. For those, protobuf's runtime would be a dependency, its types another, and the
descriptors of just these fields more lines than reading them. The format is frozen: protobuf.dev, "Encoding".

An answer is untrusted: each step takes constant time, and what a field holds is not copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeAlias

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED: Final = {_FIXED64: 8, _FIXED32: 4}

_LONGEST_VARINT: Final = 10
"""In bytes: an integer has 64 bits at most, seven in a byte."""
_LARGEST: Final = 2**64 - 1
_LARGEST_FIELD_NUMBER: Final = 2**29 - 1

Value: TypeAlias = int | memoryview


def fields(message: bytes | memoryview, most: int) -> Iterator[tuple[int, Value]]:
    """Yield number and value of each field in a message: integers as such, everything else as a view of the message.

    A field that has its default, such as 0, is not there. Raises ValueError for what is no message, and when there are
    more than `most` fields.
    """
    view, position, count = memoryview(message), 0, 0
    while position < len(view):
        count += 1
        if count > most:
            raise ValueError(f"the message has more than {most} fields")
        number, value, position = _field(view, position)
        yield number, value


def _field(view: memoryview, position: int) -> tuple[int, Value, int]:
    """Return number and value of the field at a position, and the position after it."""
    key, position = _varint(view, position)
    number, kind = key >> 3, key & 7
    if not 1 <= number <= _LARGEST_FIELD_NUMBER:
        raise ValueError("protobuf has no field of such a number")
    if kind == _VARINT:
        integer, position = _varint(view, position)
        return number, integer, position
    if kind == _BYTES:
        length, position = _varint(view, position)
    elif kind in _FIXED:
        length = _FIXED[kind]
    else:
        raise ValueError(f"protobuf has no wire type {kind}")
    if position + length > len(view):
        raise ValueError("the message ends within a field")
    return number, view[position : position + length], position + length


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    """Return the integer at a position, seven bits a byte with the lowest first, and the position after it."""
    value = 0
    for count, byte in enumerate(view[position : position + _LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            if value > _LARGEST:
                break
            return value, position + count + 1
    else:
        if len(view) - position < _LONGEST_VARINT:
            raise ValueError("the message ends within an integer")
    raise ValueError("an integer has more than 64 bits")
