"""The user's cache of built folders: an entry is complete or absent, and is made once however many ask for it."""

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hack.cluster import progress

UNUSED_DAYS: Final = 30


def root() -> Path:
    """Return the cache's folder; $BUILDKIT_OPERATOR_CACHE chooses another one."""
    if chosen := os.environ.get("BUILDKIT_OPERATOR_CACHE"):
        return Path(chosen).absolute()
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "buildkit-operator"


def key(*parts: str | Path) -> str:
    """Return a short hash of texts and of files' contents (not of their paths), in this order."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else part.encode()
        # The length separates the parts: ("ab", "c") is not ("a", "bc").
        digest.update(b"%d:" % len(content) + content)
    return digest.hexdigest()[:16]


def path(name: str, key: str) -> Path:
    """Return where the entry is, or will be."""
    return root() / f"{name.replace(':', '-')}-{key}"


def entry(name: str, key: str, make: Callable[[Path], None]) -> Path:
    """Return the entry's folder, made by `make(empty folder)` first where there is none.

    A process that asks while another one makes the entry waits for it. What `make` leaves when it raises, or when
    its process is killed, never becomes an entry.
    """
    wanted = path(name, key)
    if not wanted.exists():
        with lock(wanted.name):
            if not wanted.exists():
                _make(wanted, make)
                _forget_unused(wanted, name, len(key))
    os.utime(wanted)
    return wanted


@contextmanager
def lock(name: str) -> Iterator[None]:
    """Hold the named lock against all processes of this user; the kernel releases it when the holder dies."""
    locks = root() / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    with (locks / name).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress.step(f"Waiting for {name}, which is in other hands"):
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(wanted: Path, make: Callable[[Path], None]) -> None:
    unfinished = root() / ".unfinished"
    unfinished.mkdir(exist_ok=True)
    # Whoever holds the lock is the only one to make this entry, so others of its name were left by killed processes.
    for leftover in unfinished.glob(f"{wanted.name}.*"):
        shutil.rmtree(leftover)
    folder = Path(tempfile.mkdtemp(prefix=f"{wanted.name}.", dir=unfinished))
    folder.chmod(0o755)
    try:
        make(folder)
        folder.rename(wanted)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _forget_unused(wanted: Path, name: str, key_length: int) -> None:
    """Delete this name's entries for other pins that nobody has asked for in a month."""
    oldest = time.time() - UNUSED_DAYS * 24 * 3600
    for other in root().glob(f"{path(name, '').name}{'?' * key_length}"):
        if other != wanted and other.stat().st_mtime < oldest:
            shutil.rmtree(other, ignore_errors=True)
