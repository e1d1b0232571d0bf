"""Digests of the images that users' pods run and that ours is built on: `make pin` writes and `make check-pins` checks.

A tag says what is meant, and the digest beside it what is run: who can move the tag changes nothing. A release has a
digest for each; without one, nobody who reaches the registry was there yet to ask for it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

from hack.cluster import artifacts

_TOP: Final = Path(__file__).parents[1]
LOCK: Final = _TOP / "operator/buildkit_operator/desired/images.lock"
DOCKERFILE: Final = _TOP / "deploy/Dockerfile"
FILES: Final = (LOCK, DOCKERFILE)
REMEDY: Final = "Run make pin where the registry is reached, then make generate, and the tests with --update-golden."

_DIGEST: Final = "sha256:[0-9a-f]{64}"
_IMAGE: Final = re.compile(
    rf"(?P<tagged>\b[a-z0-9.]+(?::[0-9]+)?/[a-z0-9./_-]+:[A-Za-z0-9._-]+)(?:@(?P<digest>{_DIGEST}))?(?=\s)"
)

Ask: TypeAlias = Callable[[str], str]
"""Returns the digest that a tag has in its registry now. Raises CalledProcessError."""


def pinned(text: str, ask: Ask) -> str:
    """Return a file's text with the digest of each image's tag beside it."""
    return _IMAGE.sub(lambda image: f"{image['tagged']}@{ask(image['tagged'])}", text)


def problems(text: str, ask: Ask) -> Iterator[str]:
    """Yield in a sentence what is wrong with the digests in a file's text."""
    for image in _IMAGE.finditer(text):
        tagged, digest = image["tagged"], image["digest"]
        if digest is None:
            yield f"{tagged} has no digest."
        elif (now := ask(tagged)) != digest:
            yield f"{tagged} has the digest {digest}, and in its registry now {now}."


def ask_registry(tagged: str) -> str:
    """See Ask."""
    crane = artifacts.ensure("crane")["crane"] / "crane"
    return subprocess.run([crane, "digest", tagged], text=True, capture_output=True, check=True).stdout.strip()


def main(arguments: list[str] | None = None, ask: Ask = ask_registry, files: tuple[Path, ...] = FILES) -> int:
    """Write the digests, or look whether they are right; what is wrong is said on standard error, with the status 1."""
    parser = argparse.ArgumentParser(prog="python -m hack.image_pins", description=main.__doc__)
    parser.add_argument("what", choices=["write", "check"])
    chosen = parser.parse_args(arguments).what
    found: list[str] = []
    try:
        for file in files:
            text = file.read_text()
            if chosen == "write":
                file.write_text(pinned(text, ask))
            else:
                found += problems(text, ask)
    except subprocess.CalledProcessError as problem:
        found.append(f"The registry cannot be asked: {problem.stderr.strip()}")
    if found:
        print(*found, REMEDY, sep="\n", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
