"""Passages that are true only while nobody publishes the project: one rule for all files, and back again."""

import pytest

from buildkit_operator import __version__
from hack.generate import kustomize, passages
from hack.generate.passages import Passage, PassageError
from hack.generate.paths import TOP

ONE = Passage(("page.md",), "There is no release yet.\n", "Take the release.\n")


def test_the_text_that_is_true_takes_the_place_of_the_other_and_gives_it_back() -> None:
    released = ONE.written("# Page\n\nThere is no release yet.\n", released=True)

    assert released == "# Page\n\nTake the release.\n"
    assert ONE.written(released, released=True) == released
    assert ONE.written(released, released=False) == "# Page\n\nThere is no release yet.\n"


@pytest.mark.parametrize("text", ["# Page\n", "There is no release yet.\nTake the release.\n", ONE.released * 2])
def test_a_file_that_has_not_exactly_one_of_both_texts_is_named(text: str) -> None:
    with pytest.raises(PassageError, match=r"page\.md: There is no release yet\. / Take the release\."):
        ONE.written(text, released=False)


@pytest.mark.parametrize("passage", passages.read(), ids=lambda passage: str(passage)[:60])
def test_no_text_is_part_of_the_other(passage: Passage) -> None:
    assert passage.unreleased not in passage.released
    assert passage.released not in passage.unreleased


def test_the_checkout_has_the_texts_that_are_true() -> None:
    written = passages.files()

    assert len(written) >= 10
    assert [str(file.relative_to(TOP)) for file, text in written.items() if file.read_text() != text] == []


def test_another_version_gets_into_every_text_and_the_files_still_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kustomize, "version", lambda _: "99.0.0")
    assert __version__ not in kustomize.stamped(passages.TABLE.read_text())

    for passage in passages.read():
        later = Passage(passage.files, kustomize.stamped(passage.unreleased), kustomize.stamped(passage.released))
        for name in passage.files:
            later.written(kustomize.stamped((TOP / name).read_text()), released=True)
