"""Kustomize: deploy/kustomize as kubectl renders it, one overlay of it as install.yaml, and the image's version."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import yaml

from buildkit_operator.kube.resources import Manifest
from hack.cluster.controlplane import program
from hack.generate import passages, published
from hack.generate.paths import INSTALL, KUSTOMIZE, TOP

OVERLAY: Final = KUSTOMIZE / "overlays" / "policies"
HEADER: Final = f"# Generated from {OVERLAY.relative_to(TOP)} by `make generate`; do not edit.\n"
UNRELEASED: Final = (
    f"# There is no released image yet. No node can pull {published.UNRELEASED_IMAGE}: put the name of the one\n"
    '# that you have built and pushed in its place, as docs/install.md shows under "With one file".\n'
)

NAMING_THE_VERSION: Final = (
    *KUSTOMIZE.rglob("*.yaml"),
    *(TOP / "deploy" / "samples" / "gitops").glob("*.yaml"),
    *(TOP / name for passage in passages.read() for name in passage.files),
    passages.TABLE,
)
"""Files in which people and clusters read which image, chart or revision of the repository to take."""


def stamped(text: str) -> str:
    """Return a text in which every image of ours, chart and tag is of the project's version."""
    named = r"/buildkit-operator(?::| --version )|\$IMAGE:|\bVERSION=|(?:tag|targetRevision): v?|(?:\?ref=|/download/)v"
    # As Python's packages have it (PEP 440); what `make install` puts behind it stays.
    numbered = r"[0-9]+(?:\.[0-9]+)*(?:(?:a|b|rc|\.dev)[0-9]+)?"
    return re.sub(rf"({named}){numbered}", rf"\g<1>{version('buildkit-operator')}", text)


def naming_the_version() -> Mapping[Path, str]:
    """Return the text of each file that names what to install, with the project's version."""
    return {file: stamped(file.read_text()) for file in NAMING_THE_VERSION}


def install() -> Mapping[Path, str]:
    """Return the text of install.yaml. Raises CalledProcessError, RecipeError and MissingError."""
    return {INSTALL: header() + render(OVERLAY)}


def header() -> str:
    """Return the comment above install.yaml."""
    return HEADER if published.setting().released else HEADER + UNRELEASED


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
    ours = ["operator", *(["webhook"] if "webhook" in components else [])]
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
