"""The command `render`: prints what the operator would make for builders, without a cluster."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from buildkit_operator.api import names
from buildkit_operator.cli import builder_files, files, output
from buildkit_operator.cli.assumed_cluster import AssumedCluster
from buildkit_operator.cli.builder_files import GivenBuilder
from buildkit_operator.cli.files import Document
from buildkit_operator.cli.messages import Exit, Messages
from buildkit_operator.cli.offline import RenderedBuilder, render_builder
from buildkit_operator.cli.output import Shown

SUSPENDED = "spec.suspend is true: the operator makes and changes nothing of this until it is false"


def run(arguments: argparse.Namespace) -> int:
    """Print builders with their status.injection, and their objects; return the exit status."""
    messages = Messages()
    try:
        shown = _rendered(arguments, messages)
    except files.BadInput as bad:
        sys.stderr.write(f"{bad}\n")
        return Exit.BAD_INPUT
    write(shown, arguments.output, messages, as_list=True)
    return messages.exit


def _rendered(arguments: argparse.Namespace, messages: Messages) -> list[Shown]:
    """Return all that is to be printed. Raises BadInput."""
    found: list[Document] = []
    others: list[Document] = []
    for document in files.read(arguments.files):
        (found if builder_files.is_builder(document) else others).append(document)
    if not found:
        raise files.BadInput(f"there is no {names.KIND} in {', '.join(arguments.files)}")
    for document in others:
        messages.note(document.place, f"{document.name} is passed over")
    cluster = AssumedCluster.of(arguments)
    accepted = builder_files.accept(found, arguments.namespace, messages)
    shown: list[Shown] = []
    for given in accepted.values():
        result = render_builder(given, cluster, accepted)
        tell(given, result, messages)
        if result.injection is not None:
            resource = {**given.resource, "status": {"injection": result.injection}}
            shown += [Shown(resource), *result.objects]
    return shown


def tell(given: GivenBuilder, result: RenderedBuilder, messages: Messages) -> None:
    """Say what is to be known of a builder."""
    if result.problem is not None:
        messages.wrong(given.document.place, f"{result.problem.reason}: {result.problem.message}")
    if given.builder.spec.suspend:
        messages.note(given.document.place, SUSPENDED)


def write(shown: Sequence[Shown], format_: str, messages: Messages, *, as_list: bool) -> None:
    """Print objects as `yaml` or `json`. JSON knows no comments, so their remarks become messages then."""
    if format_ == "json":
        for one in shown:
            if one.remark:
                messages.note(one.name, one.remark)
    sys.stdout.write(output.manifests(shown, format_, as_list=as_list))
