"""The command `doctor`: what is wrong with the installation and with how builders are used, and what to do."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

from buildkit_operator import NAME, __version__
from buildkit_operator.cli import output
from buildkit_operator.cli.checks import examine
from buildkit_operator.cli.checks.cluster_state import ClusterState
from buildkit_operator.cli.checks.findings import CheckFinding, CheckReport, CheckResult, worst
from buildkit_operator.cli.messages import Exit
from buildkit_operator.cli.session import CannotAsk, Scope, ask
from buildkit_operator.cli.snapshot import take_snapshot
from buildkit_operator.kube.client import Client

SHOWN: Final = 10
"""How many findings of one check with the same result are shown to people; programs get all."""


def run(arguments: argparse.Namespace) -> int:
    """Print what every check found; tell whether none has failed."""
    try:
        scope, cluster = asyncio.run(ask(arguments, partial(_read, arguments.operator_namespace)))
    except CannotAsk as error:
        sys.stderr.write(f"{error}\n")
        return Exit.BAD_INPUT
    reports = examine(cluster)
    if arguments.output == "table":
        sys.stdout.write(show(reports, scope))
    else:
        sys.stdout.write(output.render(document(reports, scope, cluster.server_minor), arguments.output))
    return Exit.WRONG if _overall(reports) is CheckResult.FAILED else Exit.GOOD


def document(reports: Sequence[CheckReport], scope: Scope, server_minor: int) -> dict[str, Any]:
    """Return everything for programs; see docs/cli.md."""
    return {
        "version": __version__,
        "serverVersion": f"1.{server_minor}",
        "namespaces": list(scope.namespaces),
        "result": _overall(reports).value,
        "checks": [report.document() for report in reports],
    }


def show(reports: Sequence[CheckReport], scope: Scope) -> str:
    """Return everything for people: a line for each finding, below it what to do, and a count at the end."""
    lines = [f"{NAME} {__version__} looks at {scope}.", ""]
    width = max(len(report.name) for report in reports)
    for report in reports:
        for finding, more in _shortened(report.findings):
            lines.append(f"{finding.result:<9}{report.name:<{width}}  {finding.message}")
            lines += [f"{'':<{width + 11}}{said}" for said in _advice(finding, more)]
    counts = Counter(report.result for report in reports)
    told = ", ".join(f"{counts[result]} {result}" for result in CheckResult if counts[result])
    return "\n".join([*lines, "", f"{len(reports)} checks: {told}."]) + "\n"


def _advice(finding: CheckFinding, more: int) -> Iterator[str]:
    if finding.remedy:
        yield f"→ {finding.remedy}"
    if finding.page and finding.page not in finding.message:
        yield f"→ {finding.page}"
    if more:
        yield f"… and {more} more like this; -o json has all"


def _shortened(findings: Sequence[CheckFinding]) -> Iterator[tuple[CheckFinding, int]]:
    """Yield the findings to show, and behind the last one of its result how many are left out."""
    totals, shown = Counter(finding.result for finding in findings), Counter[CheckResult]()
    for finding in findings:
        shown[finding.result] += 1
        if shown[finding.result] < SHOWN:
            yield finding, 0
        elif shown[finding.result] == SHOWN:
            yield finding, totals[finding.result] - SHOWN


def _overall(reports: Sequence[CheckReport]) -> CheckResult:
    return worst(report.result for report in reports)


async def _read(operator_namespace: str, client: Client, scope: Scope) -> tuple[Scope, ClusterState]:
    return scope, await take_snapshot(operator_namespace, client, scope)
