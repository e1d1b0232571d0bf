"""YAML dumper for generated files: the same bytes each time, to be read by people as well."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml


def render(source: str, manifests: Iterable[dict[str, Any]]) -> str:
    """Return manifests as YAML documents, under a line that names the source folder they are made from."""
    return f"{head(source)}{dump(manifests)}"


def head(source: str) -> str:
    """Return that line."""
    return f"# Generated from {source} by `make generate`; do not edit.\n"


def dump(manifests: Iterable[Any]) -> str:
    """Return values as YAML documents."""
    text: str = yaml.dump_all(manifests, Dumper=_ReadableDumper, sort_keys=False, width=120)
    return text


class _ReadableDumper(yaml.SafeDumper):
    """Writes a value each time it occurs: anchors are legal YAML but not all tools take them. Several lines stay so."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  the base class's signature
        return True


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_ReadableDumper.add_representer(str, _represent)
# What only Go's library takes for a number or a boolean is put in quotes too.
_ReadableDumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"),
    list("-+.0123456789"),
)
_ReadableDumper.add_implicit_resolver("tag:yaml.org,2002:int", re.compile("[-+]?0o[0-7_]+$"), list("-+0"))
_ReadableDumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("[yYnN]$"), list("yYnN"))
