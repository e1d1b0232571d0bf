"""protobuf's wire format, as far as the exporter reads it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit_operator.exporter.protobuf import fields


def varint(number: int) -> bytes:
    out = b""
    while number >= 0x80:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


@given(st.lists(st.tuples(st.integers(1, 2**29 - 1), st.integers(0, 2**64 - 1) | st.binary(max_size=300))))
def test_what_was_written_is_read(written: list[tuple[int, int | bytes]]) -> None:
    message = b"".join(
        varint(number << 3) + varint(value)
        if isinstance(value, int)
        else varint(number << 3 | 2) + varint(len(value)) + value
        for number, value in written
    )

    assert list(fields(message)) == written


def test_fixed_widths_are_passed_over() -> None:
    message = varint(1 << 3 | 1) + b"12345678" + varint(2 << 3 | 5) + b"1234" + varint(3 << 3) + b"\x07"

    assert list(fields(message)) == [(1, b"12345678"), (2, b"1234"), (3, 7)]


@pytest.mark.parametrize("message", [b"\x08", b"\x08\x80", b"\x12\x05abc", b"\x09123", b"\x0b"])
def test_what_is_no_message_is_an_error(message: bytes) -> None:
    with pytest.raises(ValueError, match=r"ends within|wire type"):
        list(fields(message))


@given(st.binary(max_size=200))
def test_no_input_does_anything_worse(message: bytes) -> None:
    try:
        list(fields(message))
    except ValueError:
        return
