"""How an artifact is made: programs and files of pinned Go modules, and a Debian tree (artifacts.py says which)."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from hack.cluster import cache, toolchain
from hack.cluster.processes import dies_with_parent
from hack.cluster.progress import step

GO_FOLDER: Final = Path(__file__).parent / "go"
LOG_LINES_SHOWN: Final = 30


class RecipeError(Exception):
    """A build failed; the message holds the end of its log and where the whole log is."""


class Recipe(Protocol):
    """One way to make an artifact."""

    @property
    def lane(self) -> str:
        """Name what this shares work with; recipes of one lane are not made at the same time."""

    def key(self) -> str:
        """Return a hash of everything that decides what is made."""

    def prepare(self) -> None:
        """Install what making this needs. Raises toolchain.MissingError."""

    def make(self, name: str, folder: Path) -> None:
        """Fill the empty folder of a prepared recipe. Raises RecipeError."""


@dataclass(frozen=True)
class GoPrograms:
    """Programs of one of our Go modules, whose go.sum pins every source they are compiled from."""

    packages: tuple[str, ...]
    module: str = "tools"
    # Variables set by the linker: where a program keeps the version that it prints.
    stamps: Mapping[str, str] = field(default_factory=dict)
    tags: str = ""
    cgo: bool = False
    # More of them for `go build`.
    flags: tuple[str, ...] = ()
    # Names by which a multi-call binary, which is the single package then, is called.
    links: tuple[str, ...] = ()
    needs: tuple[toolchain.Package, ...] = ()
    hint: str = ""

    @property
    def lane(self) -> str:
        # Two builds of one module at the same time would compile the packages they share twice.
        return self.module

    def key(self) -> str:
        sources = sorted(
            path for path in (GO_FOLDER / self.module).rglob("*") if path.suffix in {".go", ".mod", ".sum"}
        )
        recipe = repr((self.packages, self.tags, self.cgo, self.links, sorted(self.stamps.items()), *self.flags))
        return cache.key(sys.platform, platform.machine(), recipe, *sources)

    def prepare(self) -> None:
        toolchain.require(*self.needs)
        toolchain.go()

    def make(self, name: str, folder: Path) -> None:
        with step(f"Building {name}{self.hint and f' ({self.hint})'}", f"Built {name}"):
            # The slash makes Go take the output for a folder, also for a single program.
            command: list[str | Path] = [
                toolchain.go(),
                "build",
                "-trimpath",
                "-tags",
                self.tags,
                "-ldflags",
                self._linker_flags(),
                *self.flags,
                "-o",
                f"{folder}/",
            ]
            _run_logged(name, [*command, *self.packages], GO_FOLDER / self.module, _go_environment(cgo=self.cgo))
        for link in self.links:
            (folder / link).symlink_to(self.module)

    def _linker_flags(self) -> str:
        return " ".join(["-s", "-w", *(f"-X {variable}={value}" for variable, value in self.stamps.items())])


@dataclass(frozen=True)
class GoModuleFiles:
    """Files that a Go module carries beside its code, from the version that our module's go.sum pins."""

    module: str
    dependency: str
    folder: str

    @property
    def lane(self) -> str:
        return self.module

    def key(self) -> str:
        module = GO_FOLDER / self.module
        return cache.key(self.dependency, self.folder, module / "go.mod", module / "go.sum")

    def prepare(self) -> None:
        toolchain.go()

    def make(self, name: str, folder: Path) -> None:
        go, environment, module = toolchain.go(), _go_environment(cgo=False), GO_FOLDER / self.module
        with step(f"Fetching {name}", f"Fetched {name}"):
            _run_logged(name, [go, "mod", "download", self.dependency], module, environment)
        show: list[str | Path] = [go, "list", "-m", "-f", "{{.Dir}}", self.dependency]
        source = subprocess.run(show, cwd=module, env=environment, text=True, capture_output=True, check=True).stdout
        shutil.copytree(Path(source.strip()) / self.folder, folder, symlinks=True, dirs_exist_ok=True)
        _make_writable(folder)


@dataclass(frozen=True)
class DebianTree:
    """The smallest Debian that apt works in, as a folder `root` to copy from. Needs root."""

    suite: str
    lane: str = "debian"

    def key(self) -> str:
        return cache.key(self.suite, platform.machine())

    def prepare(self) -> None:
        toolchain.require(toolchain.program("debootstrap", purpose="to make images without a registry"))
        if os.geteuid() != 0:
            raise toolchain.MissingError(
                "Images without a registry are made from Debian packages, which only root can unpack."
            )

    def make(self, name: str, folder: Path) -> None:
        # In a mount namespace of its own, so that a killed debootstrap leaves no mounts in its folder.
        command = ["unshare", "--mount", "debootstrap", "--variant=minbase", self.suite, str(folder / "root")]
        with step(f"Fetching {name} (about half a minute)", f"Fetched {name}"):
            _run_logged(name, command, folder, {**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def _go_environment(*, cgo: bool) -> dict[str, str]:
    """Return the environment in which the user's own Go settings decide where modules come from, and nothing else."""
    return {
        **os.environ,
        "CGO_ENABLED": "1" if cgo else "0",
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
    }


def _run_logged(name: str, command: Sequence[str | Path], cwd: Path, environment: Mapping[str, str]) -> None:
    log = cache.root() / "logs" / f"{name.replace(':', '-')}.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("w") as output:
        finished = subprocess.run(
            dies_with_parent("TERM", command),
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if finished.returncode != 0:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:])
        raise RecipeError(f"{end}\n{name} could not be built (exit status {finished.returncode}). The whole log: {log}")


def _make_writable(folder: Path) -> None:
    # Go's module cache is read-only, and a read-only folder could not be deleted by its owner.
    for path in [folder, *folder.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o200)
