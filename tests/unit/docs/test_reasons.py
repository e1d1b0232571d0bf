"""A page for every reason, and what it says of how the reason shows is what the code says."""

import re

import pytest

from buildkit_operator.api.reasons import Reason, row
from tests.support.reason_pages import FOLDER, FROM_CLUSTER, compare, page, shown
from tests.unit.docs.examples import EXAMPLES

SECTIONS = ["How it shows", "Likely causes", "Remedy", "How to check"]
ADDRESS = "https://docs.unreleased.invalid/reasons/"


def test_every_reason_has_a_page_and_no_page_is_without_one() -> None:
    assert {file.stem for file in FOLDER.glob("*.md")} == {*Reason, "index"}


def test_every_reason_has_an_example() -> None:
    assert EXAMPLES.keys() | FROM_CLUSTER == set(Reason)
    assert not EXAMPLES.keys() & FROM_CLUSTER


@pytest.mark.parametrize("reason", EXAMPLES)
def test_an_example_is_as_the_code_gives_it(reason: Reason, request: pytest.FixtureRequest) -> None:
    *_, last = EXAMPLES[reason]
    assert last.get("reason", reason) in {reason, Reason.PROGRESSING}

    compare(reason, shown(reason, EXAMPLES[reason]), update=request.config.getoption("--update-golden"))


@pytest.mark.parametrize("reason", Reason)
def test_a_page_says_what_it_means_how_it_shows_why_and_what_to_do(reason: Reason) -> None:
    text = page(reason).read_text()

    assert text.startswith(f"# {reason}\n\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == SECTIONS
    assert "kubectl" in text.partition("## Remedy")[2]


@pytest.mark.parametrize("reason", Reason)
def test_a_message_leads_to_its_page_where_somebody_must_act(reason: Reason) -> None:
    example = page(reason).read_text().partition("```text\n")[2].partition("```")[0]

    assert (f"{ADDRESS}{reason}/." in example) is (row(reason).event_type == "Warning")


def test_the_overview_has_every_page_once_in_the_order_of_the_code() -> None:
    assert re.findall(r"^\| \[(\w+)\]\(\1\.md\) \|", (FOLDER / "index.md").read_text(), re.MULTILINE) == list(Reason)
