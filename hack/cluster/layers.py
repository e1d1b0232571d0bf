"""Layers: what a script changes in a Debian root tree, kept as a folder; every image here is made of them."""

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from hack.cluster import artifacts, cache, progress
from hack.cluster.problems import ClusterError
from hack.cluster.processes import dies_with_parent

_UNREAD: Final = (
    "usr/share/doc/*",
    "usr/share/locale/*",
    "usr/share/man/*",
    "var/cache/apt/*",
    "var/cache/ldconfig/*",
    "var/lib/apt/lists/*",
    "var/log/*.log",
    "var/log/apt",
)
_LAYER_SH: Final = Path(__file__).with_name("layer.sh")
# Of the tree, in which a script finds what it has just installed; the user's own may lack /usr/local.
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def base(tree: str = "debian") -> Path:
    """Return a tree of Debian's essential packages, an artifact, without what only people or the next download read."""
    debian = artifacts.ensure(tree)[tree] / "root"

    def make(folder: Path) -> None:
        # Hard links: the tree is only read.
        subprocess.run(["cp", "--archive", "--link", debian, folder / "files"], check=True)
        for pattern in _UNREAD:
            for path in (folder / "files").glob(pattern):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    return cache.entry("layer-base", cache.key(identity(debian), *_UNREAD), make) / "files"


def layer(name: str, script: Path, below: Sequence[Path], inputs: Mapping[str, Path] | None = None) -> Path:
    """Return the folder of what `script` (POSIX sh, run by chroot) adds to the trees `below` it, lowest first.

    The script finds each of the inputs' folders at /input/<name>. Raises CalledProcessError when the script fails.
    """
    inputs = inputs or {}

    def make(folder: Path) -> None:
        with progress.step(f"Making {name}", f"Made {name}"):
            _run(script, below, folder / "files", inputs, folder / "log")

    pins = [identity(path) for path in [*below, *inputs.values()]]
    return cache.entry(f"layer-{name}", cache.key(script, _LAYER_SH, *pins), make) / "files"


def program(trees: Sequence[Path], path: str) -> list[str]:
    """Return the words that run a tree's program from outside: by its own loader, with its own libraries."""
    folders = [folder for tree in trees for folder in (tree / "usr/lib").glob("*-linux-gnu*")]
    loader = next(file for folder in folders for file in folder.glob("ld-linux*.so.*"))
    file = next(tree / path for tree in reversed(trees) if (tree / path).exists())
    return [str(loader), "--library-path", ":".join(map(str, folders)), str(file)]


def tar(files: Path, archive: Path) -> None:
    """Write a layer's folder as an image layer: file capabilities kept, overlay's deletions as `.wh.` files."""
    deleted = [path for path in files.rglob("*") if _is_deletion(path)]
    with tempfile.TemporaryDirectory() as scratch:
        marks = Path(scratch) / "marks"
        marks.mkdir()
        for path in deleted:
            mark = marks / path.relative_to(files).parent / f".wh.{path.name}"
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
        excluded = Path(scratch) / "excluded"
        excluded.write_text("".join(f"./{path.relative_to(files)}\n" for path in deleted))
        options = ["--numeric-owner", "--owner=0", "--group=0"]
        # No clock and no process id in it, so that the same files are the same layer.
        headers = "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime"
        keep = [headers, "--numeric-owner", "--sort=name", "--xattrs", "--xattrs-include=security.capability"]
        without = ["--exclude=./proc/*", "--exclude=./sys/*", "--anchored", f"--exclude-from={excluded}"]
        subprocess.run(["tar", "-c", "-f", archive, *keep, *without, "-C", files, "."], check=True)
        if deleted:
            names = [str(path.relative_to(marks)) for path in marks.rglob(".wh.*")]
            subprocess.run(["tar", "-r", "-f", archive, *options, "-C", marks, *names], check=True)


def _run(script: Path, below: Sequence[Path], upper: Path, inputs: Mapping[str, Path], log: Path) -> None:
    lower = ":".join(str(path) for path in reversed(below))
    namespaces = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child"]
    command: list[str | Path] = [*namespaces, "bash", _LAYER_SH, lower, upper, script.read_text()]
    with log.open("w") as output:
        done = subprocess.run(
            # KILL, which `unshare` passes on: it ignores TERM.
            dies_with_parent("KILL", [*command, *(f"{name}={path}" for name, path in inputs.items())]),
            env={**os.environ, "PATH": _PATH},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise ClusterError(f"{script.name} failed; the end of what it printed:\n{last}")


def identity(path: Path) -> str:
    """Return a text that is different for every other content: an entry's name has the hash of what it is made of."""
    return str(path.relative_to(cache.root()))


def _is_deletion(path: Path) -> bool:
    status = os.lstat(path)
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
