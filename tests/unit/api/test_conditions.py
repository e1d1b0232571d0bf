"""Messages of conditions and events: with the page of their reason, and never longer than they may be."""

import pytest

from buildkit_operator.api.conditions import explained, fitted
from buildkit_operator.api.reasons import Reason, row

PAGE = " See https://docs.unreleased.invalid/reasons/Evicted/."


@pytest.mark.parametrize("reason", Reason)
def test_a_message_names_the_page_of_its_reason_unless_nobody_need_act(reason: Reason) -> None:
    page = "" if row(reason).event_type == "Normal" else f" See https://docs.unreleased.invalid/reasons/{reason}/."

    assert explained(reason, "All about it.") == f"All about it.{page}"


def test_what_fits_stays() -> None:
    assert fitted("ä" * 8, 16) == "ä" * 8


def test_what_does_not_is_cut_between_two_letters() -> None:
    assert fitted("ä" * 9, 16) == "ä" * 6 + "…"


def test_the_page_is_not_cut() -> None:
    cut = fitted("word " * 400 + PAGE, 1024)

    assert len(cut.encode()) == 1024
    assert cut.startswith("word word")
    assert cut.endswith("…" + PAGE)


def test_of_two_pages_the_last_is_kept() -> None:
    assert fitted(f"{PAGE} {'x' * 1000}{PAGE}", 200).endswith("x…" + PAGE)
