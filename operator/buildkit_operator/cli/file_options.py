"""Options of `render` and `inject`. Nothing is loaded for it: other subcommands start faster without."""

from __future__ import annotations

import argparse
import re
from typing import Final

from buildkit_operator.api import versions

LEVELS: Final = ("privileged", "baseline", "restricted")


def add_render(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of `render`."""
    _files(parser, "a file with builders")
    _cluster_and_settings(parser)


def add_inject(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments of `inject`."""
    _files(parser, "a file with builders, pods, or objects that make pods")
    _cluster_and_settings(parser)


def _files(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument(
        "-f",
        "--filename",
        dest="files",
        action="append",
        required=True,
        metavar="FILE",
        help=f"{what}, YAML or JSON; - is standard input; may be given several times",
    )
    parser.add_argument("-o", "--output", choices=("yaml", "json"), default="yaml", help="format (default: yaml)")
    parser.add_argument(
        "-n", "--namespace", metavar="NAME", help="namespace of objects that name none (default: default)"
    )


def _cluster_and_settings(parser: argparse.ArgumentParser) -> None:
    """Describe what the operator would read off the cluster, or was set up with."""
    cluster = parser.add_argument_group("the cluster")
    cluster.add_argument(
        "--kubernetes-version",
        dest="minor",
        type=_minor,
        metavar="1.MINOR",
        help="its version, by whose Pod Security rules UserNamespace goes "
        f"(default: {versions.UNMASKED_PROC}, and newer ones are the same)",
    )
    cluster.add_argument(
        "--pod-security",
        choices=LEVELS,
        help="Pod Security level that the namespace enforces (default: privileged, as without a label)",
    )
    cluster.add_argument(
        "--namespace-label",
        dest="labels",
        action="append",
        type=_label,
        default=[],
        metavar="KEY=VALUE",
        help="label of the namespace, such as buildkit-operator.dev/injection=enabled; may be given several times",
    )
    operator = parser.add_argument_group("the operator's settings")
    operator.add_argument("--cluster-domain", metavar="DOMAIN", help="the cluster's (default: cluster.local)")
    operator.add_argument("--buildkit-image", metavar="IMAGE", help="for builders that name none (default: built in)")
    operator.add_argument("--connector-image", metavar="IMAGE", help="image of HAProxy (default: built in)")


def _minor(text: str) -> int:
    version = re.fullmatch(r"v?1\.(\d{1,3})(\.\d+)?([-+].*)?", text)
    if version is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no version such as {versions.POLICIES}")
    return int(version[1])


def _label(text: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not key or not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value
