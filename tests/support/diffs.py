"""Diffs in pages: what a file is before a change, and after it."""

from dataclasses import dataclass
from pathlib import Path

from tests.support.markdown import blocks


@dataclass(frozen=True)
class Diff:
    """The two sides of a fenced block of the language `diff`."""

    before: str
    after: str


def diffs(page: Path) -> list[Diff]:
    """Return a page's diffs, in their order."""
    return [
        Diff(before=_side(block.text, "-"), after=_side(block.text, "+"))
        for block in blocks(page.read_text())
        if block.language == "diff"
    ]


def _side(text: str, mark: str) -> str:
    """Return the lines that both sides have and those with the mark, without the first column."""
    return "".join(f"{line[1:]}\n" for line in text.splitlines() if line.startswith((" ", mark)))
