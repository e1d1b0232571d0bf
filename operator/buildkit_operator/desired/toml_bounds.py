"""Bounds on TOML: before it is parsed, as tomllib needs gigabytes for some texts of 64 KiB, and before it is written.

tomllib keeps each beginning of a dotted key as a tuple and walks from the root for each of them, so that it needs time
and memory by the square of a key's parts, and nests calls as deep as values are nested. One pass over the text finds
that without a parser.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

MOST_PARTS: Final = 16
"""Of a key with dots, and of a table's name; buildkitd's own have up to five."""

DEEPEST: Final = 16
"""Of arrays and inline tables within each other; buildkitd's own are three deep."""

MOST_KEYS: Final = 8192
"""Of keys, their parts and tables' names together; each costs the parser about a kilobyte."""

LONGEST_KEY: Final = 253
"""Characters of a key or a part of one, such as a registry's host."""

MOST_TABLES: Final = 1024
"""Before each stands its whole path in what is written."""

LARGEST_INTEGER: Final = 2**63 - 1

_TOKEN: Final = re.compile(r'"""|\'\'\'|["\'#\[\]{}=.,\n]')

_REST: Final = {
    # As many quotes as there are end the text, up to two of them being its own.
    '"""': re.compile(r'(?:[^"\\]++|\\.|"(?!""))*+"{3,5}', re.DOTALL),
    "'''": re.compile(r"(?:[^']++|'(?!''))*+'{3,5}"),
    '"': re.compile(r'(?:[^"\\\n]++|\\.)*+"'),
    "'": re.compile(r"[^'\n]*+'"),
    "#": re.compile(r"[^\n]*+"),
}
"""What a text or a comment consists of that has begun."""


class TooMuchError(ValueError):
    """The text would cost too much to parse; the message says of what it has too much."""


def check_parsed(config: Mapping[str, Any]) -> None:
    """Raise TooMuchError for what a parsed TOML cannot be written with, or that no TOML library of 64 bits can read."""
    tables = 0
    left: list[Any] = [config]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            tables += 1
            if any(len(key) > LONGEST_KEY for key in value):
                raise TooMuchError(f"a key of more than {LONGEST_KEY} characters")
            left += [*value, *value.values()]
        elif isinstance(value, list):
            left += value
        elif isinstance(value, str) and _CONTROL.search(value):
            raise TooMuchError("a control character")
        elif isinstance(value, int) and not -LARGEST_INTEGER - 1 <= value <= LARGEST_INTEGER:
            raise TooMuchError("an integer of more than 64 bits")
    if tables > MOST_TABLES:
        raise TooMuchError(f"more than {MOST_TABLES} tables")


_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Of use to nobody: what is here ends in files, such as resolv.conf of a build step, and in messages."""


def check(text: str) -> None:
    """Raise TooMuchError for a TOML that is beyond the bounds.

    Where a text has no end nothing more is looked at: there the parser gives up too.
    """
    position = depth = parts = keys = 0
    while token := _TOKEN.search(text, position):
        position = token.end()
        kind = token[0]
        if rest := _REST.get(kind):
            end = rest.match(text, position)
            if end is None:
                return
            position = end.end()
            continue
        depth += (kind in "[{") - (kind in "]}")
        parts = parts + 1 if kind == "." else 0
        keys += kind in ".=["
        if parts >= MOST_PARTS:
            raise TooMuchError(f"a key of more than {MOST_PARTS} parts")
        if depth > DEEPEST:
            raise TooMuchError(f"arrays or inline tables more than {DEEPEST} deep")
        if keys > MOST_KEYS:
            raise TooMuchError(f"more than {MOST_KEYS} keys")
