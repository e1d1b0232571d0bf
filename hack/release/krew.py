"""The release's plugin for krew: an archive that is the same from the same source, and the manifest that names it.

    python -m hack.release.krew FOLDER REPOSITORY

writes both into FOLDER; REPOSITORY is the URL of the code host's repository, below which releases can be downloaded.
"""

import gzip
import hashlib
import io
import sys
import tarfile
from pathlib import Path
from typing import Final

from hack.cluster.pins import VERSION
from hack.generate import published
from hack.generate.paths import DEPLOY, TOP

MANIFEST: Final = "buildkit.yaml"
ARCHIVE: Final = f"kubectl-buildkit-{VERSION}.tar.gz"
_FILES: Final = ((DEPLOY / "krew/kubectl-buildkit", 0o755), (TOP / "LICENSE", 0o644))


def archive() -> bytes:
    """Return the archive, without a clock or an owner in it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for file, mode in _FILES:
            member = tarfile.TarInfo(file.name)
            member.size, member.mode = file.stat().st_size, mode
            tar.addfile(member, io.BytesIO(file.read_bytes()))
    return gzip.compress(packed.getvalue(), mtime=0)


def manifest(packed: bytes, repository: str) -> str:
    """Return the plugin's manifest, which names the archive where the code host has a release's files."""
    header, _, text = (DEPLOY / "krew" / MANIFEST).read_text().partition("apiVersion:")
    assert header.startswith("#")
    words = {
        "VERSION": VERSION,
        "HOMEPAGE": f"{published.setting().documentation}/cli/",
        "ARCHIVE": f"{repository}/releases/download/v{VERSION}/{ARCHIVE}",
        "CHECKSUM": hashlib.sha256(packed).hexdigest(),
    }
    for word, value in words.items():
        text = text.replace(word, value)
    return f"apiVersion:{text}"


def main() -> None:
    """Write them."""
    folder, repository = Path(sys.argv[1]), sys.argv[2]
    packed = archive()
    (folder / ARCHIVE).write_bytes(packed)
    (folder / MANIFEST).write_text(manifest(packed, repository))


if __name__ == "__main__":
    main()
