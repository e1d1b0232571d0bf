"""Output formatting: tables for people, JSON and YAML for programs, and manifests as kubectl prints them. No I/O."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import yaml

from buildkit_operator.api import generated

_GAP: Final = "   "


@dataclass(frozen=True)
class Shown:
    """An object to print."""

    manifest: dict[str, Any]
    remark: str = ""
    """What must be known of it: a comment in YAML; JSON knows none, so that it is said on standard error."""

    @property
    def name(self) -> str:
        """What messages call the object."""
        return f"{self.manifest['kind']} {self.manifest['metadata'].get('name', '')}".rstrip()


def manifests(shown: Sequence[Shown], output: str, *, as_list: bool) -> str:
    """Return objects as `yaml` documents with their remarks, or as `json` without them.

    `as_list` says whether in JSON a single object is a List too, as several always are.
    """
    if output == "json":
        objects = [one.manifest for one in shown]
        whole = objects[0] if len(objects) == 1 and not as_list else _listed(objects)
        return json.dumps(whole, indent=4, ensure_ascii=False) + "\n"
    return "---\n".join(_comment(one.remark) + generated.dump([one.manifest]) for one in shown)


def _listed(objects: list[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": objects}


def _comment(remark: str) -> str:
    return "".join(f"# {line}\n" for line in textwrap.wrap(remark, 118))


def render(document: Any, output: str) -> str:
    """Return plain data as `json` or `yaml`, with the keys in the order that they have."""
    if output == "json":
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return rows under a header, each column as wide as its widest cell; the last one is not filled up."""
    lines = [header, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header) - 1)]
    return "".join(
        _GAP.join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[-1]]).rstrip() + "\n"
        for line in lines
    )


def age(since: datetime, now: datetime) -> str:
    """Return how long ago that was, as kubectl writes it: 75s, 12m, 5h, 3d."""
    seconds = max(0, int((now - since).total_seconds()))
    if seconds < 120:
        return f"{seconds}s"
    if seconds < 3 * 3600:
        return f"{seconds // 60}m"
    if seconds < 48 * 3600:
        return f"{seconds // 3600}h"
    return f"{seconds // 86400}d"
