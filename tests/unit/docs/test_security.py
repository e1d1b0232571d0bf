"""The security model: its tables are those that are tried, and whatever else it promises has a test that exists."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.markdown import TOP
from tests.support.threat_model import PAGE, REACH, RIGHTS, Holder, Row, Who, table
from tests.unit.docs.promises import NO_PROMISE, PROMISES
from tests.unit.docs.tables import MARK, assert_fresh

TABLES = {"rights": table(RIGHTS, Who), "reach": table(REACH, Holder)}


def test_its_tables_are_what_is_tried(request: pytest.FixtureRequest) -> None:
    assert_fresh(PAGE, TABLES, request)


@pytest.mark.parametrize("rows", [RIGHTS, REACH], ids=["rights", "reach"])
def test_a_row_is_named_once(rows: tuple[Row, ...]) -> None:
    assert len({row.name for row in rows}) == len({row.what for row in rows}) == len(rows)


def blocks(text: str) -> Iterator[str]:
    """Give each paragraph, list entry and row of a table as one line, without the tables that are tried."""
    text = re.sub(r"^ *```.*?^ *```$", "", MARK.sub("", text), flags=re.MULTILINE | re.DOTALL)
    for part in re.split(r"\n\n+|\n(?=- |\||#)", re.sub(r"^\|.*\n(?=\|---)", "", text, flags=re.MULTILINE)):
        line = " ".join(part.split())
        if line and not re.match(r"#|\|[-|]+$|\| ?\|", line):
            yield line


BLOCKS = list(blocks(PAGE.read_text()))
KEYS = {**PROMISES, **NO_PROMISE}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block[:40])
def test_a_passage_has_its_tests_or_says_why_it_needs_none(block: str) -> None:
    assert len([key for key in KEYS if block.startswith(key)]) == 1, f"name tests of it in promises.py: {block}"


def test_nothing_is_listed_that_the_page_does_not_say() -> None:
    assert [key for key in KEYS if not any(block.startswith(key) for block in BLOCKS)] == []
    assert not PROMISES.keys() & NO_PROMISE.keys()


@pytest.mark.parametrize("name", sorted({name for names in PROMISES.values() for name in names}))
def test_a_test_that_is_named_exists(name: str) -> None:
    file, _, function = name.partition("::")

    assert function in functions(TOP / "tests" / file)


@cache
def functions(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
