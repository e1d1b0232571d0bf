"""Command table of `buildkit-operator` and `kubectl buildkit`: a subcommand is one function, which imports it all."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

from buildkit_operator import INSTALL_EXTRA, NAME, NEEDS_EXTRA, __version__
from buildkit_operator.api import versions
from buildkit_operator.cli import cluster_options, file_options

if TYPE_CHECKING:
    from buildkit_operator.settings import CommonSettings

    _SubParsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  it has no public name

_OF_EXTRA: Final = frozenset({"celpy", "re2"})
"""Modules of the optional dependencies, which the image is without. Of kubernetes, kube/auth.py says it."""

_Settings = TypeVar("_Settings", bound="CommonSettings")


def run_operator(_arguments: argparse.Namespace) -> int:
    """Run the operator until it is told to stop."""
    from buildkit_operator.controller.process import run  # noqa: PLC0415  other subcommands start faster without
    from buildkit_operator.settings import Settings  # noqa: PLC0415

    return _run_process(Settings, run)


def run_webhook(_arguments: argparse.Namespace) -> int:
    """Run the admission webhook until it is told to stop."""
    import uvloop  # noqa: PLC0415  other subcommands start faster without

    from buildkit_operator.settings import WebhookSettings  # noqa: PLC0415
    from buildkit_operator.webhook.process import run  # noqa: PLC0415

    # Each of many small requests passes TLS and the loop several times, which asyncio's do in Python.
    return _run_process(WebhookSettings, run, uvloop.new_event_loop)


def _run_process(
    kind: type[_Settings],
    run: Callable[[_Settings], Coroutine[None, None, int]],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> int:
    from buildkit_operator import logs  # noqa: PLC0415
    from buildkit_operator.kube.auth import ConnectionSettingsError  # noqa: PLC0415
    from buildkit_operator.settings import SettingsError  # noqa: PLC0415

    try:
        settings = kind.from_environment(os.environ)
        logs.configure(settings.log_level, settings.log_format)
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(run(settings))
    except (SettingsError, ConnectionSettingsError) as error:
        sys.stderr.write(f"{error}\n")
        return 2


def print_crds(_arguments: argparse.Namespace) -> int:
    """Print the CustomResourceDefinition."""
    from buildkit_operator.api import crd  # noqa: PLC0415

    sys.stdout.write(crd.render())
    return 0


def print_policies(_arguments: argparse.Namespace) -> int:
    """Print the admission policies."""
    from buildkit_operator.admission import policies  # noqa: PLC0415

    sys.stdout.write(policies.render())
    return 0


def print_status(arguments: argparse.Namespace) -> int:
    """Print how a cluster's builders are."""
    from buildkit_operator.cli import status_command  # noqa: PLC0415

    return status_command.run(arguments)


def print_diagnosis(arguments: argparse.Namespace) -> int:
    """Print what is wrong with a cluster, as far as builders are concerned."""
    from buildkit_operator.cli import doctor  # noqa: PLC0415

    return doctor.run(arguments)


def render(arguments: argparse.Namespace) -> int:
    """Print what the operator would make for builders in files."""
    from buildkit_operator.cli.render import run  # noqa: PLC0415

    return run(arguments)


def inject(arguments: argparse.Namespace) -> int:
    """Print pods in files as they would be with their builder."""
    from buildkit_operator.cli.inject import run  # noqa: PLC0415

    return run(arguments)


def parser() -> argparse.ArgumentParser:
    """Describe the command line of the image and the checkout."""
    root = argparse.ArgumentParser(prog=NAME, description="Gives CI jobs a rootless BuildKit.")
    commands = _with_commands(root)
    operator = commands.add_parser(
        "operator", help="run the operator: reconcile the cluster's builders (set up by environment variables)"
    )
    operator.set_defaults(run=run_operator)
    webhook = commands.add_parser(
        "webhook",
        help="run the admission webhook: inject into pods where the API server has no MutatingAdmissionPolicy "
        f"(before Kubernetes {versions.POLICIES})",
    )
    webhook.set_defaults(run=run_webhook)
    return root


def plugin_parser() -> argparse.ArgumentParser:
    """Describe kubectl's plugin, which runs no process of the cluster."""
    root = argparse.ArgumentParser(prog="kubectl buildkit", description="Looks at BuildKit builders.")
    _with_commands(root)
    return root


def _with_commands(root: argparse.ArgumentParser) -> _SubParsers:
    """Add what people run."""
    root.add_argument("--version", action="version", version=__version__)
    commands = root.add_subparsers(required=True, metavar="COMMAND", dest="command")
    crds = commands.add_parser("crds", help="print the CustomResourceDefinition that this version serves")
    crds.set_defaults(run=print_crds)
    policies = commands.add_parser(
        "policies", help=f"print the admission policies that inject from Kubernetes {versions.POLICIES} on"
    )
    policies.set_defaults(run=print_policies)
    status = commands.add_parser(
        "status", help="ask a cluster how its builders are, and what to do about those that are not well"
    )
    cluster_options.add_status(status)
    status.set_defaults(run=print_status)
    doctor = commands.add_parser("doctor", help="ask a cluster what is wrong with the operator or with how it is used")
    cluster_options.add_doctor(doctor)
    doctor.set_defaults(run=print_diagnosis)
    rendering = commands.add_parser("render", help="print what the operator would make for builders, without a cluster")
    file_options.add_render(rendering)
    rendering.set_defaults(run=render)
    injecting = commands.add_parser("inject", help="print pods as they would be with their builder, without a cluster")
    file_options.add_inject(injecting)
    injecting.set_defaults(run=inject)
    return commands


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the subcommand that the command line names; return its exit status."""
    return _run(parser(), arguments)


def kubectl_plugin(arguments: Sequence[str] | None = None) -> int:
    """Do the same for `kubectl buildkit`."""
    return _run(plugin_parser(), arguments)


def _run(root: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    parsed = root.parse_args(arguments)
    try:
        status: int = parsed.run(parsed)
    except ModuleNotFoundError as missing:
        if missing.name not in _OF_EXTRA:
            raise
        sys.stderr.write(f"{parsed.command} {NEEDS_EXTRA}: no module {missing.name}. {INSTALL_EXTRA}\n")
        return 2
    return status


if __name__ == "__main__":
    sys.exit(main())
