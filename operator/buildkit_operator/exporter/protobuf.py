"""Protobuf wire format, as much of it as reads a few fields of the daemon's answers.

Three answers with five fields are read. For those, protobuf's runtime would be a dependency, its types another, and the
descriptors of just these fields more lines than reading them. The format is frozen: protobuf.dev, "Encoding".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED: Final = {_FIXED64: 8, _FIXED32: 4}


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field in a message: integers as such, everything else as bytes.

    A field that has its default, such as 0, is not there. Raises ValueError for what is no message.
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        kind = key & 7
        if kind == _VARINT:
            value, position = _varint(message, position)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            length, position = _varint(message, position)
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise ValueError(f"protobuf has no wire type {kind}")
        if position + length > len(message):
            raise ValueError("the message ends within a field")
        yield key >> 3, message[position : position + length]
        position += length


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """Return the integer at a position, seven bits a byte with the lowest first, and the position after it."""
    value = shift = 0
    while True:
        if position >= len(message):
            raise ValueError("the message ends within an integer")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
