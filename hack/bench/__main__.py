"""Benchmarks: how fast builders, pods and jobs become what they should be, and what that costs.

They judge nothing but what must not happen on any machine: builds that are lost end it with the status 1.

python -m hack.bench [PART…] [--sizes 100 1000] [--rest 60] [--pods 1000] [--runs 10] [--minutes 60]

  day        a recorded day of CI, replayed: daemon-hours, waits and cold caches by what sets the number of daemons
  scale      builders by the hundred and thousand on an API server, with pods that only say that they run
  webhook    the webhook by itself
  hostile    what one namespace can store, and the processes' memory beside their limits, on such API servers
  admission  pods created through the policies and through the webhook, on an API server without pods
  ready      shared builders on the cluster
  jobs       jobs with a sidecar on the cluster, beside what people write by hand
  builds     builds through the connector and directly, with each kind of cache, and beside docker:dind
  front      a context through connector and front, and straight to a daemon with TLS of its own; the proxies' memory
  bound      a day's mix in small on three daemons with a bound on their builds and without, overflow and queue
  wake       a pod created at zero daemons → its build starts, with autoscaling
  hits       builds that hit their cache on one of three replicas
  soak       builds lost in both modes while builders are changed, rolled, scaled and evicted, certificates renewed, and
             daemons, operator and API server killed, all at the same time

Alone in hack/, it imports from tests: what starts an operator, a webhook, builders and jobs is what the tests start.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import Final

from rich.console import Console
from rich.table import Table

from hack.bench import admission, bound, builds, day, front, hostile, jobs, scale, soak, startup, wake, webhook
from hack.bench.figures import Figure
from hack.cluster import cluster
from hack.cluster.installation import running_cluster
from hack.cluster.kubectl import Kubectl

WITHOUT_CLUSTER: Final[dict[str, Callable[[argparse.Namespace], list[Figure]]]] = {
    "day": lambda _: day.measure(),
    "webhook": lambda _: webhook.measure(),
    "hostile": lambda chosen: hostile.measure(chosen.loads),
    "admission": lambda _: admission.measure(),
}
SCALE: Final = "scale"
PROJECTS: Final = 12
ON_CLUSTER: Final[dict[str, Callable[[Kubectl, argparse.Namespace], list[Figure]]]] = {
    "ready": lambda kubectl, _: startup.measure(kubectl),
    "jobs": lambda kubectl, chosen: jobs.measure(kubectl, chosen.runs),
    "builds": lambda kubectl, chosen: builds.measure(kubectl, chosen.runs),
    "front": lambda kubectl, chosen: front.measure(kubectl, chosen.runs),
    "bound": lambda kubectl, _: bound.measure(kubectl),
    "wake": lambda kubectl, chosen: wake.measure(kubectl, chosen.runs),
    "hits": lambda kubectl, _: builds.share_of_hits(kubectl, PROJECTS),
    "soak": lambda kubectl, chosen: soak.measure(kubectl, chosen.minutes),
}


def main() -> None:
    """Measure, and print one table; where something fails, of all that was measured before."""
    chosen = _arguments()
    table = Table("what", "measured", "reach", "measured ÷ reach", title="BuildKit operator")
    broken = False
    try:
        for figures in _measure(chosen):
            for figure in figures:
                table.add_row(figure.what, figure.measured, str(figure.reach or ""), figure.ratio)
                broken = broken or figure.is_broken
            table.add_section()
    finally:
        Console(width=170).print(table)
    if broken:
        sys.exit("Builds were lost.")


def _measure(chosen: argparse.Namespace) -> Iterator[list[Figure]]:
    """Measure part by part; the cluster is made for its parts, unless it is up."""
    for size in chosen.sizes if SCALE in chosen.parts else ():
        yield scale.measure(size, chosen.rest, chosen.pods)
    for part, measure in WITHOUT_CLUSTER.items():
        if part in chosen.parts:
            yield measure(chosen)
    if not set(ON_CLUSTER) & set(chosen.parts):
        return
    was_up = cluster.find() is not None
    with running_cluster() as kubectl:
        for part, measure_on in ON_CLUSTER.items():
            if part in chosen.parts:
                yield measure_on(kubectl, chosen)
    if "ready" in chosen.parts and not was_up:
        yield [startup.start_again()]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m hack.bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = [SCALE, *WITHOUT_CLUSTER, *ON_CLUSTER]
    parser.add_argument("parts", nargs="*", metavar="PART", help="what to measure (default: everything)")
    sizes = (100, 1000)
    parser.add_argument("--sizes", type=int, nargs="+", default=sizes, help="builders of scale (default 100 and 1000)")
    parser.add_argument("--pods", type=int, default=1000, help="labelled pods that come and go there (default 1000)")
    parser.add_argument("--rest", type=int, default=60, help="seconds to watch the operator at rest (default 60)")
    parser.add_argument("--runs", type=int, default=10, help="jobs, contexts or wakings in each way (default 10)")
    parser.add_argument("--minutes", type=float, default=60, help="how long soak goes on (default 60)")
    parser.add_argument(
        "--loads", type=int, nargs="+", default=[], help="which of hostile's loads, by number (default all)"
    )
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(parts):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    chosen.parts = chosen.parts or parts
    return chosen


if __name__ == "__main__":
    main()
