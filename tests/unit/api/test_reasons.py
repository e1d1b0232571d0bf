"""Every reason has a remedy."""

import pytest

from buildkit_operator.api.conditions import Reason
from buildkit_operator.api.reasons import DELIBERATE, REMEDIES, UNKNOWN, remedy


def test_every_reason_has_a_remedy_and_nothing_else_has() -> None:
    assert set(REMEDIES) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_a_remedy_is_one_or_two_sentences(reason: Reason) -> None:
    text = REMEDIES[reason]

    assert text.endswith(".")
    assert text[0].isupper()
    assert len(text) <= 250
    assert " ".join(text.split()) == text


def test_no_two_reasons_have_the_same_remedy() -> None:
    assert len(set(REMEDIES.values())) == len(Reason)


def test_a_reason_that_only_a_newer_operator_knows_is_no_error() -> None:
    assert remedy("Novel") == UNKNOWN
    assert remedy("NotAdmitted") == REMEDIES[Reason.NOT_ADMITTED]


def test_what_is_left_so_on_purpose_is_no_failure() -> None:
    assert Reason.PROGRESSING not in DELIBERATE
    assert Reason.SCALED_TO_ZERO in DELIBERATE
