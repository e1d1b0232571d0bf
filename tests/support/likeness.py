"""What a command prints, made the same at every run: times, ages, identities and temporary places."""

import re
from itertools import groupby
from typing import Final

_SAME: Final = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "2026-11-24T12:00:00Z"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [+-]\d{4}", "2026-11-24 12:00:00.000000000 +0000"),
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "6f1c2a52-9d4e-4b8e-9d0c-0b1f3a5f7c11"),
    (r"(?m)^(\s*Resource Version:\s+)\d+$", r"\g<1>1000"),
    (r'(?m)^([-+ ] *resourceVersion: )"\d+"$', r'\g<1>"1000"'),
    (r"\b10\.96(\.\d+){2}\b", "10.96.12.34"),
    (r"(/\S*)?/(LIVE|MERGED)-\d+", r"/tmp/\2"),
    # When a build step printed something, in seconds.
    (r"(?m)^(#\d+) \d+\.\d+ ", r"\g<1> 0.100 "),
    # What runner pods get is some hundred lines of a status, for machines.
    (r"(?m)^  Injection:\n(?:    .*\n)+", "  Injection:\n    …\n"),
)

_AGE: Final = re.compile(r"(?<=\s)(?:\d+m)?\d+s(?P<space> *)(?=\s|$)", re.MULTILINE)
_HEADER: Final = re.compile(r"NAME .*\bAGE\b")
_COLUMNS: Final = re.compile(r"\S+(?: \S+)*(?: {2,}|$)")


def likeness(printed: str) -> str:
    """Return what was printed as it would be on another day."""
    for pattern, same in _SAME:
        printed = re.sub(pattern, same, printed)
    # What is blank is not worth a difference.
    printed = re.sub(r"[ \t]+$", "", printed, flags=re.MULTILINE).rstrip("\n") + "\n" if printed else ""
    return "\n\n".join(_table(part) if _HEADER.match(part) else _with_ages(part) for part in printed.split("\n\n"))


def _with_ages(text: str) -> str:
    """Return a text whose ages are all 10 seconds, and take the room that they took."""
    return _AGE.sub(lambda age: "10s".ljust(len(age[0])) if age["space"] else "10s", text)


def _table(text: str) -> str:
    """Return a table whose ages are all 10 seconds, drawn anew; a row that a watch repeats counts once."""
    header, *lines = text.splitlines()
    starts = [column.start() for column in _COLUMNS.finditer(header)]
    rows = [_cells(line, starts) for line in (header, *lines)]
    age = rows[0].index("AGE")
    for row in rows[1:]:
        row[age] = "10s"
    widths = [max(len(row[column]) for row in rows) for column in range(len(starts))]
    drawn = ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(line for line, _ in groupby(drawn)) + ("\n" if text.endswith("\n") else "")


def _cells(line: str, starts: list[int]) -> list[str]:
    cells = re.split(" {2,}", line.strip())
    if len(cells) == len(starts):  # a watch widens its columns as it goes
        return cells
    return [line[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]
