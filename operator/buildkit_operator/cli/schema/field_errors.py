"""Field errors, in the API server's words (apimachinery, pkg/util/validation/field/errors.go)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

OMITTED: Final = object()
"""Stands for a value that is not told."""

_ESCAPES: Final = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}


@dataclass(frozen=True)
class FieldError:
    """What is wrong with the value of one field."""

    path: str
    kind: str
    """How the sentence begins, such as `Invalid value`."""
    value: Any = OMITTED
    detail: str = ""
    blocks: bool = False
    """Whether rules are not asked any more, as they rely on what is wrong here."""

    def __str__(self) -> str:
        """Return the sentence."""
        said = [self.path, self.kind]
        if self.value is not OMITTED:
            said.append(_told(self.value))
        return ": ".join([*said, *([self.detail] if self.detail else [])])


def quoted(text: str) -> str:
    """Return a text in quotes as Go writes it (strconv.Quote)."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character in _ESCAPES:
        return _ESCAPES[character]
    code = ord(character)
    if character.isprintable():
        return character
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _told(value: Any) -> str:
    if isinstance(value, str):
        return quoted(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # Go's encoder keeps its output out of HTML's way.
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
