"""The table of reasons: every reason has every column, and what contradicts itself stands nowhere."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

import buildkit_operator
from buildkit_operator.api.reasons import REASONS, UNKNOWN, Reason, Row, row
from tests.support.reason_pages import page

RAISED = re.compile(r"TerminalError\(\s*Reason\.(\w+)")


def test_every_reason_has_a_row_and_nothing_else_has() -> None:
    assert set(REASONS) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_every_column_and_a_page(reason: Reason) -> None:
    found = row(reason)

    assert {field.name for field in fields(Row)} == {
        "remedy",
        "event_type",
        "user_must_act",
        "is_intentional",
        "waiting_helps",
    }
    assert found.event_type in {"Normal", "Warning"}
    assert {found.user_must_act, found.is_intentional, found.waiting_helps} <= {True, False}
    assert page(reason).is_file()


@pytest.mark.parametrize("reason", Reason)
def test_a_remedy_is_one_or_two_sentences(reason: Reason) -> None:
    text = row(reason).remedy

    assert text.endswith(".")
    assert text[0].isupper()
    assert len(text) <= 250
    assert " ".join(text.split()) == text


def test_no_two_reasons_have_the_same_remedy() -> None:
    assert len({found.remedy for found in REASONS.values()}) == len(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_a_state_is_at_most_one_of_terminal_intentional_and_passing(reason: Reason) -> None:
    found = row(reason)

    assert found.user_must_act + found.is_intentional + found.waiting_helps <= 1


@pytest.mark.parametrize("reason", Reason)
def test_what_is_meant_so_or_passes_is_no_cause_for_a_warning_and_what_is_terminal_is(reason: Reason) -> None:
    found = row(reason)

    assert not (found.event_type == "Warning" and (found.is_intentional or found.waiting_helps))
    assert not (found.event_type == "Normal" and found.user_must_act)


def test_what_is_raised_as_terminal_is_terminal() -> None:
    sources = Path(buildkit_operator.__file__).parent.rglob("*.py")
    raised = {name for source in sources for name in RAISED.findall(source.read_text())}

    assert "NOT_ADMITTED" in raised
    assert {name for name in raised if not row(Reason[name]).user_must_act} == set()


def test_a_reason_that_only_a_newer_operator_knows_is_no_error() -> None:
    assert row("Novel") == UNKNOWN
    assert row("NotAdmitted") == REASONS[Reason.NOT_ADMITTED]
    assert UNKNOWN.event_type == "Warning"


def test_what_is_left_so_on_purpose_is_no_failure() -> None:
    assert not row(Reason.PROGRESSING).is_intentional
    assert row(Reason.SCALED_TO_ZERO).is_intentional


def test_good_states_are_neither_warned_of_nor_waited_for() -> None:
    assert row(Reason.AVAILABLE).event_type == "Normal"
    assert not row(Reason.AVAILABLE).waiting_helps
