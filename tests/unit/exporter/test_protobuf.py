"""protobuf's wire format, as far as the exporter reads it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildkit_operator.exporter.protobuf import fields
from tests.support.hostile_daemons import varint

PLENTY = 10**6


@given(st.lists(st.tuples(st.integers(1, 2**29 - 1), st.integers(0, 2**64 - 1) | st.binary(max_size=300))))
def test_what_was_written_is_read(written: list[tuple[int, int | bytes]]) -> None:
    message = b"".join(
        varint(number << 3) + varint(value)
        if isinstance(value, int)
        else varint(number << 3 | 2) + varint(len(value)) + value
        for number, value in written
    )

    assert list(fields(message, PLENTY)) == written


def test_fixed_widths_are_passed_over() -> None:
    message = varint(1 << 3 | 1) + b"12345678" + varint(2 << 3 | 5) + b"1234" + varint(3 << 3) + b"\x07"

    assert list(fields(message, PLENTY)) == [(1, b"12345678"), (2, b"1234"), (3, 7)]


@pytest.mark.parametrize("message", [b"\x08", b"\x08\x80", b"\x12\x05abc", b"\x09123", b"\x0b"])
def test_what_is_no_message_is_an_error(message: bytes) -> None:
    with pytest.raises(ValueError, match=r"ends within|wire type"):
        list(fields(message, PLENTY))


@given(st.binary(max_size=200))
def test_no_input_does_anything_worse(message: bytes) -> None:
    try:
        list(fields(message, PLENTY))
    except ValueError:
        return


@pytest.mark.parametrize(
    "integer",
    [
        pytest.param(b"\xff" * 9 + b"\x02", id="65 bits"),
        pytest.param(b"\xff" * 10 + b"\x01", id="eleven bytes"),
        pytest.param(b"\x80" * 10 + b"\x01", id="eleven bytes of nothing"),
        pytest.param(b"\xff" * 1_000_000 + b"\x01", id="a million bytes"),
    ],
)
def test_an_integer_has_64_bits(integer: bytes) -> None:
    with pytest.raises(ValueError, match="more than 64 bits"):
        list(fields(b"\x08" + integer, PLENTY))


def test_the_largest_integer_is_read() -> None:
    assert list(fields(b"\x08" + b"\xff" * 9 + b"\x01", PLENTY)) == [(1, 2**64 - 1)]


@pytest.mark.parametrize("key", [varint(0), varint(2**29 << 3), varint(2**40 << 3)])
def test_a_field_has_a_number_that_protobuf_allows(key: bytes) -> None:
    with pytest.raises(ValueError, match="no field of such a number"):
        list(fields(key + b"\x01", PLENTY))


def test_no_more_fields_are_read_than_were_asked_for() -> None:
    message = b"\x08\x01" * 3

    assert len(list(fields(message, 3))) == 3
    with pytest.raises(ValueError, match="more than 2 fields"):
        list(fields(message, 2))
