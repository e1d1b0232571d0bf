"""`render`: prints what the operator would make for builders, without a cluster."""

from __future__ import annotations

import argparse
import sys

from buildkit_operator.api import names
from buildkit_operator.cli import builders, files, output
from buildkit_operator.cli.builders import Given
from buildkit_operator.cli.environment import Surroundings
from buildkit_operator.cli.files import Document
from buildkit_operator.cli.offline import Outcome, outcome
from buildkit_operator.cli.output import Shown
from buildkit_operator.cli.report import Exit, Report

SUSPENDED = "spec.suspend is true: the operator makes and changes nothing of this until it is false"


def run(arguments: argparse.Namespace) -> int:
    """Print builders with their status.injection, and their objects; return the exit status."""
    report = Report()
    try:
        shown = _rendered(arguments, report)
    except files.BadInput as bad:
        sys.stderr.write(f"{bad}\n")
        return Exit.BAD_INPUT
    output.write(shown, arguments.output, report, as_list=True)
    return report.exit


def _rendered(arguments: argparse.Namespace, report: Report) -> list[Shown]:
    """Return all that is to be printed. Raises BadInput."""
    found: list[Document] = []
    others: list[Document] = []
    for document in files.read(arguments.files):
        (found if builders.is_builder(document) else others).append(document)
    if not found:
        raise files.BadInput(f"there is no {names.KIND} in {', '.join(arguments.files)}")
    for document in others:
        report.note(document.place, f"{document.name} is passed over")
    surroundings = Surroundings.of(arguments)
    taken = builders.take(found, arguments.namespace, report)
    shown: list[Shown] = []
    for given in taken.values():
        result = outcome(given, surroundings, taken)
        tell(given, result, report)
        if result.injection is not None:
            resource = {**given.resource, "status": {"injection": result.injection}}
            shown += [Shown(resource), *result.objects]
    return shown


def tell(given: Given, result: Outcome, report: Report) -> None:
    """Report what is to be known of a builder."""
    if result.problem is not None:
        report.wrong(given.document.place, f"{result.problem.reason}: {result.problem.message}")
    if given.builder.spec.suspend:
        report.note(given.document.place, SUSPENDED)
