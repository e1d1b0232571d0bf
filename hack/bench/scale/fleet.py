"""The builders of a run: half Shared, half Sidecar, in up to 500 namespaces, with what is asked about them."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.kube.resources import CONFIG_MAP, NAMESPACE, Key, Manifest
from hack.bench.load import Request

MOST_NAMESPACES: Final = 500
MERGE: Final = "application/merge-patch+json"
PREFIX: Final = "builder-"
"""Of the names of a fleet's builders."""


@dataclass(frozen=True)
class Fleet:
    """So many builders, by their numbers; the even ones are Shared."""

    builders: int

    @property
    def namespaces(self) -> int:
        """Return in how many namespaces they are, two at least in each where there are enough of them."""
        return min(MOST_NAMESPACES, max(1, self.builders // 2))

    def key(self, number: int) -> Key:
        """Return namespace and name of a builder."""
        return f"scale-{number // 2 % self.namespaces}", f"{PREFIX}{number}"

    def mode(self, number: int) -> str:
        """Return a builder's mode."""
        return "Sidecar" if number % 2 else "Shared"

    def make_namespaces(self) -> Iterator[Request]:
        """Yield what creates the namespaces."""
        for number in range(self.namespaces):
            yield Request(NAMESPACE.path(), json.dumps({"metadata": {"name": f"scale-{number}"}}).encode())

    def create(self) -> Iterator[Request]:
        """Yield what creates the builders."""
        for number in range(self.builders):
            namespace, name = self.key(number)
            yield Request(names.BUILDER.path(namespace), json.dumps(builder(name, self.mode(number))).encode())

    def edit(self) -> Iterator[Request]:
        """Yield what changes every builder's daemons."""
        for number in range(self.builders):
            body = json.dumps({"spec": {"daemon": {"maxParallelism": 7}}}).encode()
            yield Request(names.BUILDER.path(*self.key(number)), body, method="PATCH", content_type=MERGE)

    def delete_children(self, numbers: range | None = None) -> Iterator[Request]:
        """Yield what deletes one object of each of some builders, of all by default: its daemon's ConfigMap."""
        for number in numbers if numbers is not None else range(self.builders):
            namespace, name = self.key(number)
            config = names.sidecar(name) if number % 2 else names.daemon(name)
            yield Request(CONFIG_MAP.path(namespace, config), b"", method="DELETE")


def builder(name: str, mode: str) -> Manifest:
    """Return a builder with all defaults."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": name},
        "spec": {"mode": mode},
    }


Reached = Callable[[Manifest], bool]
"""Tells whether a builder is as far as it can get."""


def is_told(builder: Manifest) -> bool:
    """Tell whether a builder's status is of its spec, and says all that it can where no pods run."""
    status = builder.get("status") or {}
    if status.get("observedGeneration") != builder["metadata"]["generation"] or "injection" not in status:
        return False
    return builder["spec"]["mode"] == "Shared" or is_ready(builder)


def is_ready(builder: Manifest) -> bool:
    """Tell whether a builder can be used."""
    conditions = (builder.get("status") or {}).get("conditions") or []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
