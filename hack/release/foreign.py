"""The base of the operator's image for two architectures, where none can be pulled: the other one's from its packages.

Nothing of the other architecture is run: its packages are unpacked, not set up, which is all that an image needs whose
last stage copies. Needs root, as debootstrap does.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from hack.cluster import archive, cache, images, pins, progress, toolchain

OTHER: Final = {"amd64": "arm64", "arm64": "amd64"}
"""The architecture that is released beside this machine's."""

_PACKAGES: Final = ("ca-certificates", "python3")
_UNREAD: Final = ("debootstrap", "usr/share/doc", "usr/share/locale", "usr/share/man", "var/cache/apt", "var/lib/apt")
# As images/python.sh lays them for this machine's.
_LINKS: Final = {"python": "python3", "python3": "python3"}


def base(name: str) -> Path:
    """Return an archive with Debian's Python for the other architecture, as an image of this name."""
    architecture = OTHER[images.architecture()]
    root = _tree(architecture) / "root"

    def make(folder: Path) -> None:
        python = archive.Image([name], [root], images.MADE["python"].config)
        archive.write([python], folder / "image.tar", architecture)

    key = cache.key(Path(archive.__file__), name, str(root))
    return cache.entry(f"image-python-{architecture}", key, make) / "image.tar"


def _tree(architecture: str) -> Path:
    toolchain.require(toolchain.program("debootstrap", purpose="to make the base of an image"))

    def make(folder: Path) -> None:
        root = folder / "root"
        flags = ["--foreign", f"--arch={architecture}", "--variant=minbase", f"--include={','.join(_PACKAGES)}"]
        with progress.step(
            f"Fetching Debian's Python for {architecture}", f"Fetched Debian's Python for {architecture}"
        ):
            subprocess.run(["debootstrap", *flags, pins.DEBIAN_SUITE, root], capture_output=True, check=True)
            for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
                _unpack(package, root)
        for path in _UNREAD:
            shutil.rmtree(root / path, ignore_errors=True)
        (root / "usr/local/bin").mkdir(parents=True, exist_ok=True)
        for link, target in _LINKS.items():
            (root / "usr/local/bin" / link).symlink_to(f"/usr/bin/{target}")

    return cache.entry(f"python-{architecture}", cache.key(pins.DEBIAN_SUITE, architecture, *_PACKAGES), make)


def _unpack(package: Path, root: Path) -> None:
    # Not by `dpkg-deb --extract`, which would put a folder in the place of the link from /lib to /usr/lib.
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as files:
        subprocess.run(["tar", "-x", "--keep-directory-symlink", "-C", root], stdin=files.stdout, check=True)
    if files.returncode:
        raise subprocess.CalledProcessError(files.returncode, files.args)
