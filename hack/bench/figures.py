"""A row of the result table: what was measured, and the value to reach."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median, quantiles


@dataclass(frozen=True)
class Reach:
    """What a value is to reach: at most this, or at least."""

    limit: float
    unit: str = ""
    """As it stands behind the number, with the space before it."""
    at_least: bool = False

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:,g}{self.unit}"


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    measured: str
    value: float | None = None
    """What is compared with the reach, in its unit."""
    reach: Reach | None = None
    is_promise: bool = False
    """Whether it is a fault not to reach it, and not just slow."""

    @property
    def is_broken(self) -> bool:
        """Tell whether it is a promise, of at most so much, that was not kept."""
        return self.is_promise and self.value is not None and self.reach is not None and self.value > self.reach.limit

    @property
    def ratio(self) -> str:
        """Return the value over the one to reach; empty where there is none, or it is nothing at all."""
        return (
            f"{self.value / self.reach.limit:.2f}" if self.value is not None and self.reach and self.reach.limit else ""
        )


def seconds(values: Sequence[float]) -> str:
    """Return the median of some durations, with the least and the greatest and how many there are."""
    return f"{median(values):.2f} s [{min(values):.2f}…{max(values):.2f}] ({len(values)})"


def more_seconds(values: Sequence[float]) -> str:
    """Return the same of differences."""
    return f"{median(values):+.2f} s [{min(values):+.2f}…{max(values):+.2f}] ({len(values)})"


def percentiles(values: Sequence[float]) -> tuple[float, float]:
    """Return p50 and p99, which of a few values is not beyond the greatest."""
    return median(values), quantiles(values, n=100, method="inclusive")[98]


def milliseconds(values: Sequence[float]) -> str:
    """Return p50 and p99 of some durations in seconds."""
    p50, p99 = percentiles(values)
    return f"p50 {p50 * 1000:.2f} ms, p99 {p99 * 1000:.2f} ms"
