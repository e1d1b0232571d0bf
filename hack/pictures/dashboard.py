"""The picture of the dashboard: each panel's query, asked of a Prometheus that has scraped a cluster meanwhile.

Takes what the cluster of `.cluster/kubeconfig` does for `--minutes`, or while a command runs that builds something.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hack.cluster.progress import step
from hack.pictures.chart import Box, Line, nothing, number, panel, stat, table, text, time_series
from hack.pictures.prometheus import MONITORING, Prometheus, scraping

TOP: Final = Path(__file__).parents[2]
PICTURE: Final = TOP / "docs" / "dashboard.svg"
DASHBOARD: Final[Mapping[str, Any]] = json.loads((MONITORING / "dashboard.json").read_text())
WIDTH: Final = 1200
ROW: Final = 26
"""The height of one row of Grafana's grid, in pixels."""
POINTS: Final = 120
_WEBHOOK: Final = next(row["gridPos"]["y"] for row in DASHBOARD["panels"] if row["title"].startswith("Webhook"))
STYLE: Final = (
    "svg{background:#111217}text{font:12px system-ui,sans-serif;fill:#ccccdc}.title{font-weight:600}"
    ".value{font-size:26px;fill:#73bf69}.faint{fill:#8e8e9c}.legend,.faint{font-size:11px}.row{font-size:14px}"
    ".panel{fill:#181b1f;stroke:#2a2d34}.grid{stroke:#2a2d34}.line{fill:none;stroke-width:1.5}"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Scrape, and draw; the status is that of the command, if there is one."""
    parser = argparse.ArgumentParser(prog="hack.pictures.dashboard", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long to scrape without a command (10)")
    parser.add_argument("--kubeconfig", type=Path, default=TOP / ".cluster/kubeconfig")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what makes the builds: python -m hack.bench bound")
    chosen = parser.parse_args(arguments)
    with scraping(chosen.kubeconfig) as prometheus:
        begin = time.time()
        with step("Scraping", "Scraped"):
            if chosen.command:
                status = subprocess.run(chosen.command, cwd=TOP, check=False).returncode
            else:
                time.sleep(60 * chosen.minutes)
                status = 0
        end = time.time()
        if not prometheus.instant("buildkit_operator_build_info", end):
            print("Prometheus saw nothing of an operator, so there is nothing to draw.", file=sys.stderr)
            return 1
        if status == 0:
            PICTURE.write_text(picture(prometheus, begin, end))
            print(f"{PICTURE.relative_to(TOP)} is new.")
    return status


def picture(prometheus: Prometheus, begin: float, end: float) -> str:
    """Return the dashboard with what was seen between two Unix times."""
    panels = [one for one in DASHBOARD["panels"] if not is_absent(one)]
    height = max(one["gridPos"]["y"] + one["gridPos"]["h"] for one in panels) * ROW
    parts = [_drawn(one, prometheus, begin, end) for one in panels]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
        f"<title>{DASHBOARD['title']}</title><style>{STYLE}</style>{''.join(parts)}</svg>\n"
    )


def is_absent(shown: Mapping[str, Any]) -> bool:
    """Tell whether a panel is of the webhook, which is not there where the API server itself injects."""
    return bool(shown["gridPos"]["y"] >= _WEBHOOK)


def _drawn(shown: Mapping[str, Any], prometheus: Prometheus, begin: float, end: float) -> str:
    place, unit = shown["gridPos"], _unit(shown)
    column = WIDTH / 24
    box = Box(place["x"] * column + 2, place["y"] * ROW + 2, place["w"] * column - 4, place["h"] * ROW - 4)
    if shown["type"] == "row":
        return text(box.x, box.y + 18, shown["title"], "row")
    frame, inside = panel(box, shown["title"])
    if shown["type"] == "timeseries":
        lines = [
            Line(_legend(target, series["metric"]), [(at, float(value)) for at, value in series["values"]])
            for target in shown["targets"]
            for series in prometheus.range(_query(target), begin, end, (end - begin) / POINTS)
        ]
        top = shown["fieldConfig"]["defaults"].get("max")
        return frame + (time_series(inside, lines, unit, begin, end, top) if lines else nothing(inside))
    found = [(target, one) for target in shown["targets"] for one in prometheus.instant(_query(target), end)]
    if not found:
        return frame + nothing(inside)
    if shown["type"] == "stat":
        values = [(_legend(target, one["metric"]), float(one["value"][1])) for target, one in found]
        return frame + stat(inside, values, unit)
    header = [*found[0][1]["metric"], "value"]
    rows = [[*one["metric"].values(), number(float(one["value"][1]), unit)] for _, one in found]
    return frame + table(inside, header, rows)


def _unit(shown: Mapping[str, Any]) -> str:
    found: str = shown.get("fieldConfig", {}).get("defaults", {}).get("unit", "short")
    return found


def _query(target: Mapping[str, Any]) -> str:
    """Return a panel's query with what Grafana puts in the place of its variables."""
    expression: str = target["expr"]
    return expression.replace("$__rate_interval", "1m").replace("$namespace", ".*")


def _legend(target: Mapping[str, Any], metric: Mapping[str, str]) -> str:
    named: str = target.get("legendFormat", "")
    return re.sub(r"{{ *(\w+) *}}", lambda label: metric.get(label[1], ""), named)


if __name__ == "__main__":
    sys.exit(main())
