"""Images that people's Dockerfiles begin with and that the cluster's registry has not: made here, and put there."""

import os
import subprocess
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from hack.cluster import artifacts, cache, images, toolchain

GOLANG: Final = "library/golang:1"
FRONTEND: Final = "docker/dockerfile:1"
_PACKAGES: Final = ("fmt", "os")
"""What Go programs of the corpus may import; the image's build cache has them compiled."""
_TOOLS: Final = ("asm", "compile", "link")


def push(registry: str) -> None:
    """Put the images into a registry (host:port, plain HTTP), which stands in for docker.io there."""
    golang = ["GOPATH=/go", "GOCACHE=/go/cache", "GOFLAGS=-trimpath", "GOTOOLCHAIN=local", "CGO_ENABLED=0"]
    path = "PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    busybox = f"{registry}/{next(iter(images.BASES)).removeprefix('docker.io/')}"
    _crane("append", f"--base={busybox}", f"--new_layer={_go()}", f"--new_tag={registry}/{GOLANG}")
    _crane("mutate", f"--tag={registry}/{GOLANG}", *(f"--env={it}" for it in [*golang, path]), f"{registry}/{GOLANG}")
    _crane("append", "--oci-empty-base", f"--new_layer={_frontend()}", f"--new_tag={registry}/{FRONTEND}")
    platform = f"--set-platform=linux/{images.architecture()}"
    entry = "--entrypoint=/bin/dockerfile-frontend"
    _crane("mutate", f"--tag={registry}/{FRONTEND}", platform, entry, f"{registry}/{FRONTEND}")


def _crane(verb: str, *words: str) -> None:
    program = artifacts.ensure("crane")["crane"] / "crane"
    environment = {**os.environ, "NO_PROXY": "localhost,127.0.0.1"}
    subprocess.run([program, verb, "--insecure", *words], env=environment, capture_output=True, check=True)


def _frontend() -> Path:
    """Return a layer with the frontend of this release of BuildKit, as it is in the published image."""
    program = artifacts.ensure("dockerfile-frontend")["dockerfile-frontend"] / "dockerfile-frontend"

    def make(folder: Path) -> None:
        _write(folder / "layer.tar.gz", [(program, "bin/dockerfile-frontend")])

    return cache.entry("frontend-layer", cache.key(str(program)), make) / "layer.tar.gz"


def _go() -> Path:
    """Return a layer with as much of Go as compiles a small program, at the place where the published image has it."""
    go = toolchain.go()
    root = Path(_said([go, "env", "GOROOT"]))

    def make(folder: Path) -> None:
        built = folder / "cache"
        (folder / "go.mod").write_text("module example.com/app\n")
        imports = "".join(f'import _ "{name}"\n' for name in _PACKAGES)
        (folder / "main.go").write_text(f"package main\n\n{imports}\nfunc main() {{}}\n")
        _said([go, "build", "-o", os.devnull, "."], folder, GOCACHE=str(built))
        sources = _said([go, "list", "-deps", "-f", "{{.Dir}}", *_PACKAGES], folder).split()
        tools = Path(_said([go, "env", "GOTOOLDIR"]))
        members = [root / "bin/go", root / "VERSION", root / "go.env", root / "pkg/include"]
        members += [tools / name for name in _TOOLS]
        members += [file for source in sources for file in Path(source).iterdir() if file.is_file()]
        placed = [(path, f"usr/local/go/{path.relative_to(root)}") for path in members]
        _write(folder / "layer.tar.gz", [*placed, (built, "go/cache")])

    return cache.entry("golang-layer", cache.key((root / "VERSION").read_text(), __file__), make) / "layer.tar.gz"


def _said(command: Sequence[str | Path], folder: Path | None = None, **environment: str) -> str:
    """Return what Go prints, asked as the image would be."""
    like_there = {"GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOFLAGS": "-trimpath", "GOWORK": "off"}
    environment = {**os.environ, **like_there, **environment}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


def _write(archive: Path, members: Iterable[tuple[Path, str]]) -> None:
    """Write a layer with these files and folders, each at its place."""
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for path, place in members:
            tar.add(path, place, filter=_of_root)


def _of_root(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return None if member.name.endswith("_test.go") else member
