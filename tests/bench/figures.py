"""How a figure is written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    measured: str
    reach: str = ""


def seconds(values: Sequence[float]) -> str:
    """Return the median of some durations, with the least and the greatest and how many there are."""
    return f"{median(values):.2f} s [{min(values):.2f}…{max(values):.2f}] ({len(values)})"
