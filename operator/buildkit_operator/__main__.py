"""The command line: `python -m buildkit_operator`. Each subcommand is one function, and imports what only it needs."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

from buildkit_operator import __version__


def run_operator(_arguments: argparse.Namespace) -> int:
    """Run the operator until it is told to stop."""
    from buildkit_operator import logs  # noqa: PLC0415  other subcommands start faster without
    from buildkit_operator.control.operator import run  # noqa: PLC0415
    from buildkit_operator.control.reconcile import make_reconcile  # noqa: PLC0415
    from buildkit_operator.kube.auth import ConnectionSettingsError  # noqa: PLC0415
    from buildkit_operator.settings import Settings, SettingsError  # noqa: PLC0415

    try:
        settings = Settings.from_environment(os.environ)
        logs.configure(settings.log_level, settings.log_format)
        return asyncio.run(run(settings, make_reconcile))
    except (SettingsError, ConnectionSettingsError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


def print_crds(_arguments: argparse.Namespace) -> int:
    """Print the CustomResourceDefinition."""
    from buildkit_operator.api import crd  # noqa: PLC0415

    sys.stdout.write(crd.render())
    return 0


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    root = argparse.ArgumentParser(prog="buildkit-operator", description="Gives CI jobs a rootless BuildKit.")
    root.add_argument("--version", action="version", version=__version__)
    commands = root.add_subparsers(required=True, metavar="COMMAND")
    operator = commands.add_parser(
        "operator", help="keep the cluster's builders as their resources want them (set up by environment variables)"
    )
    operator.set_defaults(run=run_operator)
    crds = commands.add_parser("crds", help="print the CustomResourceDefinition that this version serves")
    crds.set_defaults(run=print_crds)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the subcommand that the command line names; give its exit status."""
    parsed = parser().parse_args(arguments)
    status: int = parsed.run(parsed)
    return status


if __name__ == "__main__":
    sys.exit(main())
