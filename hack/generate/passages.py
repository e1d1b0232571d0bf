"""Passages that are true only while nobody publishes the project, and the ones that take their place: passages.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hack.generate import published
from hack.generate.paths import TOP

TABLE: Final = Path(__file__).with_name("passages.toml")


class PassageError(Exception):
    """A file has neither text of a passage, or one more than once; the message says which."""


@dataclass(frozen=True)
class Passage:
    """One passage: the files that have it, below the repository's top, and its two texts."""

    files: tuple[str, ...]
    unreleased: str
    released: str

    def written(self, text: str, *, released: bool) -> str:
        """Return a file's text with the one that is true in place of the other. Raises PassageError."""
        if (found := text.count(self.unreleased) + text.count(self.released)) != 1:
            raise PassageError(
                f"There is {found} times, and must be once, what hack/generate/passages.toml calls:\n{self}"
            )
        true, other = (self.released, self.unreleased) if released else (self.unreleased, self.released)
        return text.replace(other, true)

    def __str__(self) -> str:
        """Return where it stands, and how both texts begin."""
        begin = (text.strip().splitlines()[0] for text in (self.unreleased, self.released))
        return f"{', '.join(self.files)}: {' / '.join(begin)}"


def read() -> list[Passage]:
    """Return all passages."""
    return [
        Passage(tuple(row["files"]), row["unreleased"], row["released"])
        for row in tomllib.loads(TABLE.read_text())["passage"]
    ]


def files() -> Mapping[Path, str]:
    """Return the text of each file that has passages, by what pyproject.toml says. Raises PassageError."""
    released = published.setting().released
    texts: dict[Path, str] = {}
    for passage in read():
        for file in (TOP / name for name in passage.files):
            texts[file] = passage.written(texts.get(file) or file.read_text(), released=released)
    return texts
