"""Decoding of JSON from the API server, which holds more than Python's decoder takes; object by object, never fatal.

Go reads and stores JSON of 10,000 levels, in `metadata.managedFields` of every object for instance, where everybody who
may write an object can put it. Python's decoder gives up between 1,000 levels and some 10,000, as its version has it.
What is decoded here has no more than MAX_DEPTH levels in any version, finite numbers of 64 bits, and no lone
surrogates: all that comes after (encoding, copies, comparisons, models) can take it.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import Any, Final

from buildkit_operator.kube.resources import Manifest

MAX_DEPTH: Final = 100
"""Levels of an object that are read. Kubernetes' own kinds have some 20."""
MAX_BYTES: Final = 32 * 2**20
"""Longest answer that is read. etcd stores objects of 1.5 MiB, which is 9 MiB where each character is escaped."""
UNREAD: Final = "(not read: nested too deep, or a number out of range)"
"""Stands where something was left out: what reads the field finds a value of the wrong type there, and says so.

It is told by identity: a user who writes the same text has written a text.
"""

_TEXT_DEPTH: Final = 150
"""Levels of an answer that are decoded: those of an object, and the list or event around it."""
_LONGEST_INTEGER: Final = len(str(-(2**63)))

_CONTAINERS: Final = (dict, list)

_STRING: Final = r'"[^"\\]*(?:\\.[^"\\]*)*"'
_TOKENS: Final = re.compile(rf"{_STRING}|[\[{{]|[\]}}]", re.DOTALL)
_PAIR: Final = r"u[dD][89abAB]..\\u[dD][c-fC-F].."
_ESCAPES: Final = re.compile(rf"\\(?:({_PAIR})|u[dD][89a-fA-F]..|.)", re.DOTALL)


def decode(data: bytes) -> Any:
    """Return the value of a JSON text, shortened where it has to be, and without the bookkeeping of its objects.

    Raises ValueError where it is no JSON.
    """
    text = data.decode(errors="replace")
    if "\\ud" in text or "\\uD" in text:
        text = _ESCAPES.sub(_whole_characters, text)
    try:
        return _DECODER.decode(text)
    except RecursionError:
        return _DECODER.decode(_without_depths(text))


def shorten(manifest: Manifest) -> bool:
    """Leave out, in place, what lies too deep in an object; return whether anything of it is left out, by `decode` too.

    Of managedFields, which are read by nobody, this says only whether they were too deep.
    """
    is_short = False
    level: list[Any] = [manifest]
    for _ in range(MAX_DEPTH - 1):
        values = [value for container in level for value in _values(container)]
        # By equality first, which takes no loop of ours.
        is_short = is_short or (UNREAD in values and any(value is UNREAD for value in values))
        level = [value for value in values if isinstance(value, _CONTAINERS)]
        if not level:
            break
    for container in level:
        for key, value in [*(container.items() if isinstance(container, dict) else enumerate(container))]:
            if isinstance(value, _CONTAINERS):
                container[key] = UNREAD
                is_short = True
    if manifest.get("metadata") and manifest["metadata"].get("managedFields") is UNREAD:
        del manifest["metadata"]["managedFields"]
    return is_short


def _values(container: Any) -> Any:
    return container.values() if isinstance(container, dict) else container


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        # Most of managedFields are empty objects.
        level = [
            child for container in level for child in _values(container) if child and isinstance(child, _CONTAINERS)
        ]
        if not level:
            return False
    return True


def _without_managed_fields(found: dict[str, Any]) -> dict[str, Any]:
    """Drop an object's managedFields as soon as they are decoded: they are often longer than the object."""
    if "managedFields" in found and isinstance(fields := found["managedFields"], list):
        if _is_deep(fields):
            found["managedFields"] = UNREAD
        else:
            del found["managedFields"]
    return found


def _integer(text: str) -> int | str:
    value = int(text) if len(text) <= _LONGEST_INTEGER else None
    return value if value is not None and -(2**63) <= value < 2**63 else UNREAD


def _number(text: str) -> float | str:
    value = float(text)
    return value if isfinite(value) else UNREAD


_DECODER: Final = json.JSONDecoder(
    object_hook=_without_managed_fields,
    parse_int=_integer,
    parse_float=_number,
    parse_constant=lambda _: UNREAD,  # NaN is no JSON; _without_depths makes use of that
)


def _without_depths(text: str) -> str:
    """Return the text with NaN in place of what is nested deeper than _TEXT_DEPTH. Does not recurse."""
    kept: list[str] = []
    depth = end = 0
    for token in _TOKENS.finditer(text):
        match token[0][0]:
            case "{" | "[":
                depth += 1
                if depth == _TEXT_DEPTH + 1:
                    kept += (text[end : token.start()], "NaN")
            case "}" | "]":
                if depth == _TEXT_DEPTH + 1:
                    end = token.end()
                depth -= 1
            case _:
                pass
    return "".join((*kept, text[end:]))


def _whole_characters(escape: re.Match[str]) -> str:
    """Return an escape, or U+FFFD where it is half of a character, as Go reads it."""
    is_half = escape[1] is None and len(escape[0]) > len("\\u")
    return "\\ufffd" if is_half else escape[0]
