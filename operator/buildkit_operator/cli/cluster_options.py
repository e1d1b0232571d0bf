"""The options of the subcommands that ask a cluster, named as kubectl names them."""

from __future__ import annotations

import argparse
from typing import Final

from buildkit_operator.api import names

TIMEOUT: Final = 10.0
"""Seconds that one answer of the API server may take, unless the user says otherwise."""


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Let the user say which API server is asked, and about which namespaces."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "-n",
        "--namespace",
        metavar="NAMESPACE",
        help="look at this namespace (default: that of the kubeconfig's context; in a pod, all that the operator of "
        "the pod serves)",
    )
    where.add_argument("-A", "--all-namespaces", action="store_true", help="look at all namespaces")
    parser.add_argument("--kubeconfig", metavar="FILE", help="kubeconfig to use instead of KUBECONFIG's")
    parser.add_argument("--context", metavar="NAME", help="context of the kubeconfig to use instead of its current one")
    parser.add_argument(
        "--request-timeout",
        type=_seconds,
        default=TIMEOUT,
        metavar="SECONDS",
        help=f"how long one answer of the API server may take (default: {TIMEOUT:.0f})",
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """Let the user choose how the answer is written."""
    parser.add_argument("-o", "--output", choices=("table", "json", "yaml"), default="table", help="(default: table)")


def add_status(parser: argparse.ArgumentParser) -> None:
    """Describe `status`."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="of one builder (default: all)")
    add_cluster(parser)
    add_output(parser)


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """Describe `doctor`."""
    add_cluster(parser)
    add_output(parser)
    parser.add_argument(
        "--operator-namespace",
        default=names.OPERATOR,
        metavar="NAMESPACE",
        help=f"where the operator itself runs (default: {names.OPERATOR})",
    )


def _seconds(text: str) -> float:
    """Read a positive number of seconds; kubectl writes an `s` behind it."""
    try:
        seconds = float(text.removesuffix("s"))
    except ValueError:
        seconds = 0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"not a number of seconds above 0: {text}")
    return seconds
