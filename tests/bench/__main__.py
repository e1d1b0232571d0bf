"""Prints figures: how fast builders become what they should be, and what the operator costs. It judges nothing.

python -m tests.bench [--builders 100] [--rest 60] [--without-cluster]
"""

import argparse

from rich.console import Console
from rich.table import Table

from tests.bench import api_server, cluster
from tests.bench.figures import Figure


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=main.__doc__)
    parser.add_argument("--builders", type=int, default=100, help="builders on the API server (default 100)")
    parser.add_argument("--rest", type=int, default=60, help="seconds to watch the operator at rest (default 60)")
    parser.add_argument("--without-cluster", action="store_true", help="leave out what needs the kind cluster")
    chosen = parser.parse_args()
    figures = api_server.measure(chosen.builders, chosen.rest)
    if not chosen.without_cluster:
        figures += cluster.measure()
    Console(width=120).print(_table(figures))


def _table(figures: list[Figure]) -> Table:
    table = Table("what", "measured", "reach", title="BuildKit operator")
    for figure in figures:
        table.add_row(figure.what, figure.measured, figure.reach)
    return table


if __name__ == "__main__":
    main()
