"""Panels of a dashboard as SVG: time series, single values and tables, as plain as can be."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

COLOURS: Final = ("#7eb26d", "#eab839", "#6ed0e0", "#ef843c", "#e24d42", "#1f78c1", "#ba43a9", "#705da0", "#508642")
MARGIN: Final = 8
LEGEND: Final = 14
SHOWN: Final = 4
"""Names in a legend and rows in a table; the others are counted."""

_BYTES: Final = ("", "Ki", "Mi", "Gi", "Ti")
_SUFFIXES: Final = {"s": " s", "ops": "/s", "reqps": "/s"}


@dataclass(frozen=True)
class Box:
    """A place in the picture, in pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Line:
    """A series with its name in the legend; a point is a Unix time and a value."""

    name: str
    points: Sequence[tuple[float, float]]


def number(value: float, unit: str) -> str:
    """Return a value in a unit of Grafana's."""
    if math.isnan(value):
        return "none"
    if unit == "percentunit":
        return f"{value:.0%}"
    if unit in {"bytes", "Bps"}:
        power = min(int(math.log(max(abs(value), 1), 1024)), len(_BYTES) - 1)
        return f"{value / 1024**power:.3g} {_BYTES[power]}B{'/s' if unit == 'Bps' else ''}"
    if unit == "s" and abs(value) >= 86400:
        return f"{value / 86400:.3g} d"
    if unit == "s" and abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    return f"{value:.3g}{_SUFFIXES.get(unit, '')}"


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """Return words at a place; kind is a class of the picture's style."""
    return f'<text x="{x:.0f}" y="{y:.0f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def panel(box: Box, title: str) -> tuple[str, Box]:
    """Return a frame with its title, and the place inside."""
    frame = f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" class="panel" rx="2"/>'
    inside = Box(box.x + MARGIN, box.y + 24, box.width - 2 * MARGIN, box.height - 24 - MARGIN)
    return frame + text(box.x + MARGIN, box.y + 16, title, "title"), inside


def nothing(box: Box) -> str:
    """Return what stands in a panel without data."""
    return text(box.x + box.width / 2, box.y + box.height / 2, "No data", "faint", "middle")


def stat(box: Box, values: Sequence[tuple[str, float]], unit: str) -> str:
    """Return single values side by side, each with its name."""
    width = box.width / len(values)
    parts = []
    for place, (name, value) in enumerate(values):
        middle = box.x + width * (place + 0.5)
        parts.append(text(middle, box.y + box.height / 2, number(value, unit), "value", "middle"))
        parts.append(text(middle, box.y + box.height / 2 + 24, name, "faint", "middle"))
    return "".join(parts)


def table(box: Box, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table, with how many rows did not fit."""
    width = box.width / len(header)
    fit = int((box.height - 20) / 18)
    lines = [(header, "faint"), *((row, "") for row in rows[:fit])]
    cells = [
        text(box.x + width * column, box.y + 12 + 18 * line, cell, kind)
        for line, (row, kind) in enumerate(lines)
        for column, cell in enumerate(row)
    ]
    if (more := len(rows) - fit) > 0:
        cells.append(text(box.x + box.width, box.y + 12, f"and {more} more", "faint", "end"))
    return "".join(cells)


def time_series(box: Box, lines: Sequence[Line], unit: str, begin: float, end: float, top: float | None = None) -> str:
    """Return lines over the time from begin to end, with an axis and a legend; top is the axis' end, if it has one."""
    legend, more = lines[:SHOWN], len(lines) - SHOWN
    height = box.height - 16 - LEGEND * (len(legend) + (more > 0))
    plot = Box(box.x + 54, box.y + 4, box.width - 58, height)
    highest = top or _round_up(max((value for line in lines for _, value in line.points), default=1), unit)
    parts = []
    for share in (0, 0.5, 1):
        y = plot.y + plot.height * (1 - share)
        parts.append(f'<path d="M{plot.x:.0f} {y:.1f}h{plot.width:.0f}" class="grid"/>')
        parts.append(text(plot.x - 6, y + 4, number(highest * share, unit), "faint", "end"))
    minutes = f"{(end - begin) / 60:.0f} min"
    parts.append(text(plot.x, plot.y + plot.height + 13, "0", "faint"))
    parts.append(text(plot.x + plot.width, plot.y + plot.height + 13, minutes, "faint", "end"))
    for index, line in enumerate(lines):
        parts.append(_path(plot, line, highest, begin, end, COLOURS[index % len(COLOURS)]))
    y = plot.y + plot.height + 28
    for index, line in enumerate(legend):
        parts.append(f'<path d="M{box.x:.0f} {y - 4:.0f}h12" stroke="{COLOURS[index]}" class="line"/>')
        parts.append(text(box.x + 18, y, line.name, "legend"))
        y += LEGEND
    if more > 0:
        parts.append(text(box.x + 18, y, f"and {more} more", "faint"))
    return "".join(parts)


def _path(plot: Box, line: Line, highest: float, begin: float, end: float, colour: str) -> str:
    """Return a line; it is broken where there is no value."""
    words, last = [], -math.inf
    gap = 3 * (end - begin) / 120
    for at, value in line.points:
        if math.isnan(value):
            continue
        x = plot.x + plot.width * (at - begin) / (end - begin)
        y = plot.y + plot.height * (1 - min(value / highest, 1))
        words.append(f"{'L' if at - last < gap else 'M'}{x:.1f} {y:.1f}")
        last = at
    return f'<path d="{"".join(words)}" stroke="{colour}" class="line"/>' if words else ""


def _round_up(value: float, unit: str) -> float:
    """Return the next 1, 2 or 5 times a power of ten, of bytes in the unit that they are shown in."""
    if not value > 0:
        return 1
    one = 1024.0 ** int(math.log(max(value, 1), 1024)) if unit in {"bytes", "Bps"} else 1
    power = one * 10.0 ** math.floor(math.log10(value / one))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * 0.999)
