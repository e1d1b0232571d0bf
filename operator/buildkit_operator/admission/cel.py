"""CEL (Common Expression Language) as text: composed expressions, literals, and sentences as concatenations."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from typing import Final

from buildkit_operator.api import names

_CONSTANTS: Final = {name: value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}


def expression(text: str, **parts: str) -> str:
    """Return an expression as the source has it, without the source's indentation.

    `$NAME` stands for a constant of api/names.py and `$name` for one of the parts, whose further lines are indented
    like the line that it stands in. Raises KeyError for any other.
    """
    values = _CONSTANTS | parts
    lines = textwrap.dedent(text).strip().splitlines()
    return "\n".join(_filled(line, values) for line in lines)


def _filled(line: str, values: Mapping[str, str]) -> str:
    indentation = " " * (len(line) - len(line.lstrip()))
    return re.sub(r"\$(\w+)", lambda match: values[match[1]].replace("\n", f"\n{indentation}"), line)


def literal(text: str) -> str:
    """Return a string literal, in the quotes that need no escaping where there are such."""
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    if "'" not in text:
        return f"'{text}'"
    return '"' + text.replace('"', '\\"') + '"'


def strings(texts: Iterable[str]) -> str:
    """Return a list of string literals."""
    return f"[{', '.join(map(literal, texts))}]"


def sentence(template: str, values: Mapping[str, str]) -> str:
    """Return the expression of a sentence whose `{placeholders}` stand for the expressions in `values`."""
    parts = re.split(r"\{(\w+)\}", template)
    texts = [values[text] if position % 2 else literal(text) for position, text in enumerate(parts)]
    return " + ".join(text for text in texts if text != "''")
