"""Bounds on TOML: no text of 64 KiB costs more than a little, and what is ordinary is not refused."""

import time
import tomllib
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Final

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from buildkit_operator.api.reasons import TerminalError
from buildkit_operator.desired import toml_bounds
from buildkit_operator.desired.buildkitd_toml import render
from buildkit_operator.desired.toml_bounds import TooMuchError
from tests.unit.make import make_builder

LONGEST: Final = 65536
"""What the CRD allows."""

PARTS: Final = ".".join("a" * 15)
QUOTES: Final = 3 * "'"
OPEN: Final = "worker.oci.stargzSnapshotter"
"""A table that may have any content."""


def filled(unit: Callable[[int], str], begin: str = "", end: str = "") -> str:
    """Return a text as long as the CRD allows, made of units; each gets its number."""

    def units() -> Iterator[str]:
        length, number = len(begin) + len(end), 0
        while length + len(unit(number)) <= LONGEST:
            yield unit(number)
            length, number = length + len(unit(number)), number + 1

    return begin + "".join(units()) + end


HOSTILE: Final = {
    "one key of many parts": "a." * 32_700 + "a = 1",
    "a table's name of many parts": f"[{'a.' * 32_700}a]",
    "many keys below a long table": filled(lambda n: f"a{n}.b=1\n", f"[{'a.' * 16_000}a]\n"),
    "many keys of some parts": filled(lambda n: f"a{n}.{PARTS}=1\n"),
    "many keys of some parts below a table": filled(lambda n: f"a{n}.{PARTS}=1\n", f"[{OPEN}.{PARTS[:19]}]\n"),
    "many tables": filled(lambda n: f"[{n}]\n"),
    "many tables of some parts": filled(lambda n: f"[a{n}.{PARTS}]\n"),
    "one array of many tables": filled(lambda _: "[[a]]\n"),
    "one array of many tables of some parts": filled(lambda _: f"[[{PARTS}]]\n"),
    "many inline tables": filled(lambda _: f"{{{PARTS}=1}},", f"[{OPEN}]\na=[", "]"),
    "arrays in arrays": f"a = {'[' * 60_000}",
    "inline tables in inline tables": "a = " + "{a=" * 20_000,
    "many arrays in arrays": filled(lambda _: f"{'[' * 14}{']' * 14},", f"[{OPEN}]\na=[", "]"),
    "tables below a long key": filled(lambda n: f"a{n}={{}},", f"[{OPEN}]\n{'k' * 30_000}={{", "}"),
    "tables below long keys": filled(lambda n: f"a{n}={{}},", f"[{OPEN}]\n" + f"{'k' * 250}={{" * 12, "}" * 12),
    "texts without an end": '"' * LONGEST,
    "long texts without an end": '"""' * 21_000,
    "quotes in a text": 'a = """' + '""x' * 21_000 + '"""',
    "escapes": f'a = "{chr(92)}n' + f"{chr(92)}n" * 32_000 + '"',
    "an integer of many digits": f"a = 0x{'f' * 65_000}",
    "a fraction of many digits": f"[{OPEN}]\na = 1.{'9' * 65_000}",
    "integers of many digits": filled(lambda n: f"a{n} = {'9' * 4_300}\n"),
    "comments": "#\n" * 32_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_the_worst_text_costs_little(text: str) -> None:
    builder = make_builder(daemon={"toml": text})
    tracemalloc.start()
    began = time.process_time()
    try:
        size = len(render(builder, process_sandbox=False, room="20Gi"))
    except TerminalError as error:
        size = len(error.message)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    # Memory is traced, which makes it many times slower: what grew by the square would take minutes.
    assert time.process_time() - began < 20
    assert peak < 50_000_000
    assert size <= 512 * 1024


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (f"{'a.' * 16}a = 1", "a key of more than 16 parts"),
        (f"[{'a.' * 16}a]", "a key of more than 16 parts"),
        (f"a = {{{'a . ' * 16}a = 1}}", "a key of more than 16 parts"),
        ('"a"."b".' * 8 + "c = 1", "a key of more than 16 parts"),
        ("a = " + "[" * 17 + "]" * 17, "arrays or inline tables more than 16 deep"),
        ("a = " + "{a=" * 17, "arrays or inline tables more than 16 deep"),
        ("a = 1\n" * 8193, "more than 8192 keys"),
    ],
)
def test_what_is_beyond_a_bound_is_told(text: str, sentence: str) -> None:
    with pytest.raises(TooMuchError, match=sentence):
        toml_bounds.check(text)


@pytest.mark.parametrize(
    "text",
    [
        f"{'a.' * 15}a = 1",
        f"[{'a.' * 15}a]\n{'a.' * 15}a = 1",
        "a = " + "[" * 16 + "]" * 16,
        f'a = "{"a." * 1000}"',
        f"a = {QUOTES}{'[' * 1000}{QUOTES}",
        f"# {'a.' * 1000}",
        f'"{"a." * 100}" = 1',
        "a = 1.5\n" * 100,
    ],
)
def test_what_is_within_or_only_text_is_no_matter(text: str) -> None:
    toml_bounds.check(text)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]))), st.integers(1, 2), st.text())
def test_no_text_before_it_hides_a_key_of_many_parts(texts: list[str], lines: int, comment: str) -> None:
    before = tomli_w.dumps({"texts": texts, "".join(texts): texts}, multiline_strings=lines > 1)
    line = "".join(comment.split("\n")).replace("\r", "")
    toml_bounds.check(before)

    with pytest.raises(TooMuchError):
        toml_bounds.check(f"{before}# {line}\n{'a.' * 16}a = 1\n")


@given(st.text(alphabet="ab'\"\\\\\n#.=[]{} ,", max_size=60))
def test_where_the_scan_gives_up_the_parser_does_too(text: str) -> None:
    whole = f"{text}\n{'x.' * 16}x = 1\n"
    try:
        toml_bounds.check(whole)
    except TooMuchError:
        return
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads(whole)
