"""The command `status`: a table of builders, and for each that is not well what to do."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.cli import output
from buildkit_operator.cli.messages import Exit
from buildkit_operator.cli.session import CannotAsk, Scope, ask
from buildkit_operator.cli.summary import BuilderSummary, summarize
from buildkit_operator.kube import errors
from buildkit_operator.kube.client import Client

HEADER: Final = (
    "NAMESPACE",
    "NAME",
    "MODE",
    "READY",
    "REASON",
    "SINCE",
    "ENDPOINT",
    "REPLICAS",
    "PODS",
    "MESSAGE",
)


def run(arguments: argparse.Namespace) -> int:
    """Print the builders; tell whether all are well."""
    try:
        scope, builders = asyncio.run(ask(arguments, partial(_read, arguments.name)))
    except CannotAsk as error:
        sys.stderr.write(f"{error}\n")
        return Exit.BAD_INPUT
    if arguments.output != "table":
        document = {"builders": [builder.document() for builder in builders]}
        sys.stdout.write(output.render(document, arguments.output))
    elif builders:
        sys.stdout.write(show(builders, datetime.now(UTC)))
    if not builders:
        missing = f'BuildKitBuilder "{arguments.name}"' if arguments.name else "BuildKitBuilder"
        sys.stderr.write(f"There is no {missing} in {scope}.\n")
        return Exit.WRONG if arguments.name else Exit.GOOD
    return Exit.GOOD if all(builder.is_well for builder in builders) else Exit.WRONG


def show(builders: Sequence[BuilderSummary], now: datetime) -> str:
    """Return the table, and below it what to do."""
    text = output.table(HEADER, (_row(builder, now) for builder in builders))
    return text + "".join(_advice(builders))


def _row(builder: BuilderSummary, now: datetime) -> tuple[str, ...]:
    return (
        builder.namespace,
        builder.name,
        builder.mode,
        builder.ready,
        builder.reason,
        output.age(builder.since, now) if builder.since else "",
        builder.endpoint,
        "{}/{}".format(*builder.daemons) if builder.daemons else "",
        str(builder.pods),
        builder.message,
    )


def _advice(builders: Iterable[BuilderSummary]) -> Iterable[str]:
    for builder in builders:
        if not builder.is_well:
            yield f"\n{builder.title}: {builder.remedy}\n"
            if builder.page:
                yield f"    {builder.page}\n"


async def _read(name: str | None, client: Client, scope: Scope) -> tuple[Scope, list[BuilderSummary]]:
    """Read the builders in the order of their names. Raises CannotAsk."""
    try:
        chosen = None if name is None else f"metadata.name={name}"
        places = scope.namespaces or (None,)
        found = [
            builder for place in places for builder in await client.list(names.BUILDER, place, field_selector=chosen)
        ]
    except errors.NotFound as error:
        raise CannotAsk(
            "The cluster knows no BuildKitBuilder: its CustomResourceDefinition is not installed. doctor says more."
        ) from error
    except errors.Forbidden as error:
        raise CannotAsk(f"You may not read buildkitbuilders in {scope}: {error}") from error
    except errors.ApiError as error:
        raise CannotAsk(f"The API server cannot be asked: {error}") from error
    return scope, sorted(map(summarize, found), key=lambda builder: (builder.namespace, builder.name))
