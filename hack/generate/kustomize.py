"""deploy/kustomize as kubectl renders it.

`python -m hack.generate.kustomize` writes the project's version where its image is named, and one overlay into
deploy/install.yaml.
"""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import yaml

from buildkit_operator.kube.resources import Manifest
from hack.cluster.controlplane import program
from hack.cluster.recipes import RecipeError
from hack.cluster.toolchain import MissingError

TOP: Final = Path(__file__).parents[2]
KUSTOMIZE: Final = TOP / "deploy" / "kustomize"
INSTALL: Final = KUSTOMIZE.parent / "install.yaml"
OVERLAY: Final = KUSTOMIZE / "overlays" / "policies"
HEADER: Final = f"# Generated from {OVERLAY.relative_to(TOP)} by `make generate`; do not edit.\n"

NAMING_THE_IMAGE: Final = (*KUSTOMIZE.rglob("*.yaml"), TOP / "README.md", TOP / "docs" / "install.md")
"""Files in which people and clusters read which image to take."""


def stamped(text: str) -> str:
    """Return a text in which every image of ours is of the project's version."""
    return re.sub(
        r"(/buildkit-operator:|\$IMAGE:)[0-9]\S*?(?=[\s|\"`]|$)", rf"\g<1>{version('buildkit-operator')}", text
    )


def render(folder: Path) -> str:
    """Return what kubectl makes of a kustomization. Raises CalledProcessError with kubectl's sentence in `stderr`."""
    command = [str(program("kubectl")), "kustomize", str(folder)]
    return subprocess.run(command, text=True, capture_output=True, check=True).stdout


def manifests(folder: Path) -> list[Manifest]:
    """Return the objects of a kustomization. Raises CalledProcessError."""
    return list(yaml.safe_load_all(render(folder)))


def compose(folder: Path, *components: str, watched: Sequence[str] = ()) -> Path:
    """Write an overlay of the base and components into an empty folder, as users make theirs, and return it.

    With `watched` it is a namespaced one: the component `namespaced` comes last, and each namespace gets its Roles.
    """
    overlay: Manifest = {"resources": [_path(folder, "base")], "components": []}
    overlay["components"] += [_path(folder, f"components/{name}") for name in components]
    if watched:
        overlay["components"].append(_path(folder, "components/namespaced"))
        (folder / "watched.yaml").write_text(_watched(watched))
        overlay["resources"] += ["watched.yaml", *watched]
        for namespace in watched:
            _compose_rights(folder / namespace, namespace, components)
    _write_kustomization(folder, overlay)
    return folder


def _compose_rights(folder: Path, namespace: str, components: Sequence[str]) -> None:
    folder.mkdir()
    ours = ["operator", *(name for name in ("webhook", "exporter") if name in components)]
    rights = [_path(folder, f"components/namespaced/rights/{name}") for name in ours]
    _write_kustomization(folder, {"namespace": namespace, "resources": rights})


def _watched(namespaces: Sequence[str]) -> str:
    watched = yaml.safe_load((KUSTOMIZE / "overlays/namespaced/watched.yaml").read_text())
    watched["data"]["namespaces"] = ",".join(namespaces)
    return yaml.safe_dump(watched)


def _path(folder: Path, name: str) -> str:
    """Return a folder of deploy/kustomize as a kustomization elsewhere has to name it: it takes no absolute paths."""
    return os.path.relpath(KUSTOMIZE / name, folder.resolve())


def _write_kustomization(folder: Path, content: Manifest) -> None:
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(content))


def main() -> int:
    """Write both; what stands in the way is said on standard error, with the status 1."""
    for file in NAMING_THE_IMAGE:
        file.write_text(stamped(file.read_text()))
    try:
        text = HEADER + render(OVERLAY)
    except subprocess.CalledProcessError as problem:
        print(problem.stderr.strip(), file=sys.stderr)
        return 1
    except (RecipeError, MissingError) as problem:
        print(problem, file=sys.stderr)
        return 1
    INSTALL.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
