"""Whatever JSON the API server holds is decoded, in bounds that all that comes after can take."""

import copy
import json
import sys
from typing import Any, Final

import pytest

from buildkit_operator.kube.decoding import MAX_DEPTH, UNREAD, decode, shorten
from buildkit_operator.kube.resources import Manifest

LEVELS: Final = (MAX_DEPTH + 1, 1_000, 9_900)
"""What Python's decoder takes, what it takes or not by its version, and what the API server takes."""


def nested(levels: int) -> str:
    return '{"f:a":' * (levels - 1) + "{}" + "}" * (levels - 1)


def text(managed_fields: str = "[]", **rest: str) -> bytes:
    fields = "".join(f',"{key}":{value}' for key, value in rest.items())
    return f'{{"metadata":{{"name":"one","managedFields":{managed_fields}}}{fields}}}'.encode()


def read(data: bytes) -> tuple[Manifest, bool]:
    """Return an object and whether it is short."""
    found: Manifest = decode(data)
    return found, shorten(found)


def depth(value: Any) -> int:
    levels, level = 0, [value]
    while level:
        levels += 1
        level = [
            child
            for container in level
            for child in (container.values() if isinstance(container, dict) else container)
            if isinstance(child, dict | list)
        ]
    return levels


@pytest.mark.parametrize("levels", LEVELS)
def test_deep_managed_fields_are_told_of_and_cost_nothing_else(levels: int) -> None:
    found, is_short = read(text(f'[{{"fieldsV1":{nested(levels)}}}]', data='{"a":"b"}'))

    assert found == {"metadata": {"name": "one"}, "data": {"a": "b"}}
    assert is_short


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("begin", ["{", "["])
def test_what_is_too_deep_is_left_out_at_the_same_place_however_python_decodes(levels: int, begin: str) -> None:
    deep = nested(levels) if begin == "{" else "[" * levels + "]" * levels

    found, is_short = read(text(spec=deep))

    assert is_short
    assert depth(found) == MAX_DEPTH
    inner = found["spec"]
    for _ in range(MAX_DEPTH - 2):
        inner = inner["f:a"] if begin == "{" else inner[0]
    assert (inner["f:a"] if begin == "{" else inner[0]) is UNREAD


def test_what_stands_beside_and_after_the_depth_is_read() -> None:
    deep = f'{{"first":"}}]\\"{{","deep":{nested(9_900)},"after":[1,2]}}'

    found, is_short = read(text(spec=deep, last='"text"'))

    assert is_short
    assert found["spec"]["first"] == '}]"{'
    assert found["spec"]["after"] == [1, 2]
    assert found["last"] == "text"


def test_several_depths_are_left_out_one_by_one() -> None:
    found, _ = read(text(a=nested(2_000), b='{"kept":true}', c=nested(2_000)))

    assert found["b"] == {"kept": True}


def test_as_many_levels_as_are_read_are_whole() -> None:
    found, is_short = read(text(spec=nested(MAX_DEPTH - 1)))

    assert not is_short
    assert found["spec"] == json.loads(nested(MAX_DEPTH - 1))


@pytest.mark.parametrize(
    "number", ["9" * 5_000, "-" + "9" * 400, str(2**64), "1e999", "-1e999", "9" * 5_000 + ".5", "NaN", "-Infinity"]
)
def test_a_number_out_of_range_is_left_out(number: str) -> None:
    found, is_short = read(text(data=f'{{"a":{number},"b":1}}'))

    assert is_short
    assert found["data"]["a"] is UNREAD
    assert found["data"]["b"] == 1


@pytest.mark.parametrize("number", [0, -1, 2**63 - 1, -(2**63), 1.5, 1e300, 5e-324])
def test_a_number_in_range_is_read(number: float) -> None:
    found, is_short = read(text(data=json.dumps(number)))

    assert found["data"] == number
    assert not is_short


@pytest.mark.parametrize(
    ("escaped", "expected"),
    [
        (r"\ud800", "\ufffd"),
        (r"a\uDFFFb", "a\ufffdb"),
        (r"\udc00\ud800", "\ufffd\ufffd"),
        (r"\ud83d\ude00", "😀"),
        (r"\\ud800", r"\ud800"),
        (r"\\\ud800", "\\\ufffd"),
        (r"\u0000\u2028\ufeff", "\0\u2028\ufeff"),
    ],
)
def test_half_a_character_is_read_as_go_reads_it(escaped: str, expected: str) -> None:
    found, is_short = read(text(data=f'{{"{escaped}":"{escaped}"}}'))

    assert found["data"] == {expected: expected}
    assert not is_short


def test_bytes_that_are_no_utf_8_are_replaced() -> None:
    found, _ = read(b'{"metadata":{},"data":"a\xff\xed\xa0\x80b"}')

    assert found["data"] == "a\ufffd\ufffd\ufffd\ufffdb"


def test_of_keys_that_come_twice_the_last_counts() -> None:
    assert read(b'{"a":{"b":1},"a":{"c":2},"metadata":{}}')[0] == {"a": {"c": 2}, "metadata": {}}


def test_a_field_of_that_name_elsewhere_is_a_field() -> None:
    found, is_short = read(text(data='{"managedFields":"text"}'))

    assert found["data"] == {"managedFields": "text"}
    assert not is_short


def test_a_text_that_reads_like_what_is_left_out_is_a_text() -> None:
    assert not read(text(data=json.dumps(UNREAD)))[1]


@pytest.mark.parametrize("data", [b"", b"{", b"<html>", b'{"a":1}}', b"[" * 9_900, b'{"a":' * 9_900])
def test_what_is_no_json_is_an_error_of_one_kind(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(data)


def test_all_that_comes_after_can_take_it() -> None:
    hostile = text(f"[{nested(9_900)}]", a=nested(9_900), b="9" * 5_000, c="1e999", d=r'"\ud800"')

    found, _ = read(hostile)

    assert json.loads(json.dumps(found, ensure_ascii=False, allow_nan=False).encode()) == found
    assert copy.deepcopy(found) == found
    assert repr(found)


def test_a_stack_that_is_used_already_changes_nothing() -> None:
    def below(frames: int) -> tuple[Manifest, bool]:
        return below(frames - 1) if frames else read(text(f"[{nested(9_900)}]", spec=nested(140)))

    assert below(sys.getrecursionlimit() // 2) == below(0)
