"""Tables of the documentation that have their rows from data which tests try."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

MARK: Final = re.compile(r"(<!-- table: (\w+) -->\n\n)(?:\|.*\n)+")
"""A table, from the comment that names it."""


def assert_fresh(
    page: Path, tables: Mapping[str, str], request: pytest.FixtureRequest, mark: re.Pattern[str] = MARK
) -> None:
    """Assert that a page has each of these tables, by name, once; with --update-golden, write them first.

    `mark` finds them: its first group is what stands before one, its second the name.
    """
    text = page.read_text()
    wanted = mark.sub(lambda found: f"{found[1]}{tables[found[2]]}\n", text)

    if request.config.getoption("--update-golden"):
        page.write_text(text := wanted)
    assert text == wanted, "run pytest with --update-golden, and read whether the page still fits"
    assert sorted(found[2] for found in mark.finditer(text)) == sorted(tables)
