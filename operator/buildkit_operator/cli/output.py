"""Prints objects as kubectl does: YAML documents, or JSON, of which several are a List."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from buildkit_operator.api import generated
from buildkit_operator.cli.report import Report


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


def write(shown: Sequence[Shown], output: str, report: Report, *, as_list: bool) -> None:
    """Print objects; `as_list` says whether in JSON a single one is a List too."""
    if output == "json":
        for one in shown:
            if one.remark:
                report.note(one.name, one.remark)
        manifests = [one.manifest for one in shown]
        whole = manifests[0] if len(manifests) == 1 and not as_list else _listed(manifests)
        sys.stdout.write(json.dumps(whole, indent=4, ensure_ascii=False) + "\n")
        return
    sys.stdout.write("---\n".join(_comment(one.remark) + generated.dump([one.manifest]) for one in shown))


def _listed(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": manifests}


def _comment(remark: str) -> str:
    return "".join(f"# {line}\n" for line in textwrap.wrap(remark, 118))
