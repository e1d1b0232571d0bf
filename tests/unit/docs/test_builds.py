"""The page of what a build may do: its tables are the corpus that is built."""

import re
from collections.abc import Iterable

import pytest

from hack.cluster.images import BASES
from tests.support.corpus import CORPUS, EXPECT, Client, Entry, Section, entries
from tests.support.markdown import TOP
from tests.unit.docs.tables import assert_fresh

PAGE = TOP / "docs/builds.md"
MARK = re.compile(r"(<!-- table: (\w+) -->\n\n)(?:.*\n)*?(?=\n## |\Z)")
"""With headings between its tables."""
WORDS = {"docker": Client.DOCKER, "bake": Client.BAKE, "buildctl": Client.BUILDCTL}


def by(entry: Entry) -> str:
    return ", ".join(word for word, client in WORDS.items() if client in entry.clients)


def row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def works(corpus: Iterable[Entry]) -> str:
    """Return a heading and a table for each section."""
    done = [entry for entry in corpus if entry.refused is None]
    parts = []
    for section in Section:
        rows = [row(entry.title, by(entry)) for entry in done if entry.section == section]
        parts.append("\n".join([f"### {section}\n", "| a build | by |", "|---|---|", *rows]))
    return "\n\n".join(parts)


def refused(corpus: Iterable[Entry]) -> str:
    rows = [row(one.title, by(one), f"`{one.refused}`", one.instead) for one in corpus if one.refused is not None]
    return "\n".join(["| a build | by | ends with | instead |", "|---|---|---|---|", *rows])


TABLES = {"works": works(entries()), "refused": refused(entries())}


def test_its_tables_are_the_corpus(request: pytest.FixtureRequest) -> None:
    assert_fresh(PAGE, TABLES, request, MARK)


def test_every_folder_of_the_corpus_is_an_entry() -> None:
    assert {entry.folder for entry in entries()} == {path for path in CORPUS.iterdir() if path.is_dir()}


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_what_is_refused_says_what_to_do_instead(entry: Entry) -> None:
    assert bool(entry.instead) is (entry.refused is not None)


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)
def test_a_build_begins_with_an_image_that_the_registry_has(entry: Entry) -> None:
    known = {base.removeprefix("docker.io/library/") for base in BASES}
    files = [path.read_text() for path in entry.folder.rglob("*") if path.is_file() and path.name != EXPECT]
    named = {name for text in files for name in re.findall(r"^FROM.* ((?:busybox|python):\S+)", text, re.MULTILINE)}

    assert named <= known
