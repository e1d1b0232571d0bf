"""Runs the command line, and returns what it prints."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml

from buildkit_operator.__main__ import main
from buildkit_operator.api import generated
from buildkit_operator.kube.resources import Manifest


@dataclass(frozen=True)
class Printed:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[Manifest]:
        """What was printed, as YAML or JSON."""
        return list(yaml.safe_load_all(self.out))

    def only(self, kind: str, name: str | None = None) -> Manifest:
        """Return the one object of a kind, and name where there are several."""
        (found,) = [o for o in self.objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
        return found


Run: TypeAlias = Callable[..., Printed]
"""Takes the command and its arguments; and files' contents by name, `stdin` being standard input's."""


def builder(name: str = "demo", namespace: str | None = None, **spec: Any) -> Manifest:
    """Return a builder as users write it, of mode Shared unless the spec says otherwise."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {
        "apiVersion": "buildkit-operator.dev/v1alpha1",
        "kind": "BuildKitBuilder",
        "metadata": metadata,
        "spec": {"mode": "Shared", **spec},
    }


def written(*manifests: Manifest) -> str:
    """Return manifests as YAML documents."""
    return generated.dump(manifests)


class Stdin(io.TextIOWrapper):
    """Standard input with something in it."""

    def __init__(self, text: str) -> None:
        super().__init__(io.BytesIO(text.encode()))


def run_main(arguments: tuple[str, ...]) -> int:
    """Run a command in this process; argparse ends it where it does not understand."""
    try:
        return main(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
