"""A checkout to release from: the committed state, published under other names, tagged, and cloned from a remote."""

import io
import os
import re
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack.cluster.pins import VERSION
from hack.cluster.problems import ClusterError
from hack.generate.paths import TOP

TAG: Final = f"v{VERSION}"
_AUTHOR: Final = ("-c", "user.name=rehearsal", "-c", "user.email=rehearsal@example.com")


@dataclass(frozen=True)
class Checkout:
    """A clone of the remote at the tag, with the packages that this checkout has installed."""

    folder: Path
    remote: str
    commit: str

    def run(self, *command: str | Path, **variables: str) -> str:
        """Run a command there, with its own packages before the installed ones; return what it prints."""
        path = f"{self.folder / 'operator'}{os.pathsep}{self.folder}"
        return _run(self.folder, *command, PYTHONPATH=path, **variables)


def make(scratch: Path, *, owner: str, registry: str, documentation: str) -> Checkout:
    """Set where it is published, generate, commit, push with a tag to a bare repository, and clone that.

    Raises ClusterError with what a command said.
    """
    remote, work, clone = scratch / "remote.git", scratch / "work", scratch / "clone"
    _run(scratch, "git", "init", "--quiet", "--bare", "--initial-branch=main", remote)
    # Not by a clone: where this checkout is shallow, as in CI, Git would not push from that.
    _run(scratch, "git", "init", "--quiet", work)
    with tarfile.open(fileobj=io.BytesIO(subprocess.check_output(["git", "archive", "HEAD"], cwd=TOP))) as committed:
        committed.extractall(work, filter="data")
    _run(work, "git", "add", "--all", "--force")
    _set(work / "pyproject.toml", owner=owner, registry=registry, documentation=documentation)
    (work / ".venv").symlink_to(TOP / ".venv")
    Checkout(work, "", "").run(sys.executable, "-m", "hack.generate")
    (work / ".venv").unlink()
    _run(work, "git", *_AUTHOR, "commit", "--quiet", "--all", "--message=Name who publishes it")
    _run(work, "git", "tag", TAG)
    _run(work, "git", "push", "--quiet", str(remote), "HEAD:refs/heads/main", TAG)
    _run(scratch, "git", "clone", "--quiet", f"--branch={TAG}", remote, clone)
    (clone / ".venv").symlink_to(TOP / ".venv")
    return Checkout(clone, str(remote), _run(clone, "git", "rev-parse", "HEAD").strip())


def _set(file: Path, **values: str) -> None:
    above, table, below = file.read_text().partition("[tool.buildkit-operator]\n")
    for key, value in values.items():
        below = re.sub(rf'(?m)^{key} = ".*"$', f'{key} = "{value}"', below, count=1)
    file.write_text(above + table + below)


def _run(folder: Path, *command: str | Path, **variables: str) -> str:
    # A variable of the user's, such as REPOSITORY, would end up in the release.
    environment = {name: value for name, value in os.environ.items() if name not in {"TAG", "REPOSITORY", "IMAGE"}}
    done = subprocess.run(
        command, cwd=folder, env={**environment, **variables}, text=True, capture_output=True, check=False
    )
    if done.returncode:
        words = " ".join(str(word) for word in command)
        raise ClusterError(f"{words}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
