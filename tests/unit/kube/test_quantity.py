"""Quantities mean what the API server takes them for (tests/integration/test_quantity.py asks it)."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildkit_operator.kube import quantity
from tests.support.quantities import SPELLINGS

SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "e3", "E-3", "e+6"]


@pytest.mark.parametrize(
    ("spelling", "number"),
    [
        ("0", "0"),
        ("2", "2"),
        ("500m", "0.5"),
        ("1.5Gi", "1610612736"),
        ("1.5G", "1500000000"),
        ("100n", "0.0000001"),
        ("2e3", "2000"),
        ("5E-1", "0.5"),
        ("1E", "1000000000000000000"),
        (".5", "0.5"),
        ("5.", "5"),
        ("+5", "5"),
        ("-1", "-1"),
    ],
)
def test_a_quantity_stands_for_a_number(spelling: str, number: str) -> None:
    assert quantity.value(spelling) == Decimal(number)


@pytest.mark.parametrize("text", ["", "x", "1 Gi", "1gi", "1KiB", "1.2.3", "1e", "0x10", "1,5", "1K", "NaN", "e3", "."])
def test_anything_else_is_refused_and_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity") as caught:
        quantity.value(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["1e100", "1e-100", "1e999999999"])
def test_an_exponent_beyond_all_measure_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="out of range"):
        quantity.checked(text)


@pytest.mark.parametrize(("spelling", "stored"), SPELLINGS)
def test_a_quantity_is_the_same_as_the_servers_spelling_of_it(spelling: str, stored: str) -> None:
    assert quantity.is_same(spelling, stored)


@pytest.mark.parametrize(("one", "other"), [("1Gi", "1G"), ("1", "1m"), ("1", "one"), ("", "")])
def test_others_are_not_the_same(one: str, other: str) -> None:
    assert not quantity.is_same(one, other)


@settings(max_examples=50)
@given(st.integers(0, 10**15), st.sampled_from(SUFFIXES))
def test_a_quantity_is_itself_and_not_its_double(number: int, suffix: str) -> None:
    spelling = f"{number}{suffix}"

    assert quantity.checked(spelling) == spelling
    assert quantity.is_same(spelling, spelling)
    assert quantity.is_same(spelling, f"{number * 2}{suffix}") is (number == 0)


@settings(max_examples=50)
@given(st.text(max_size=32))
def test_no_text_does_worse_than_being_refused(text: str) -> None:
    try:
        quantity.value(text)
    except ValueError as refusal:
        assert repr(text) in str(refusal)  # noqa: PT017  text that is a quantity raises nothing
