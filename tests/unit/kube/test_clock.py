"""The API server's time, however wrong the machine's own clock is, and however it leaps."""

import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from buildkit_operator.kube.clock import ServerClock

TRUE = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)


class Machine:
    """A machine with a clock that is wrong by some seconds, and a server whose clock is right."""

    def __init__(self, wrong_by: float) -> None:
        self.passed = 0.0
        self.wrong_by = wrong_by
        self.clock = ServerClock(lambda: TRUE.timestamp() + self.passed + self.wrong_by, lambda: 1000 + self.passed)

    def ask(self, *, takes: float = 0.0) -> None:
        """Have the server answer in the middle of the time that it takes."""
        asked = self.clock.asked()
        self.passed += takes / 2
        date = format_datetime(self.true.replace(microsecond=0), usegmt=True)
        self.passed += takes / 2
        self.clock.answered(asked, date)

    @property
    def true(self) -> datetime:
        return TRUE + timedelta(seconds=self.passed)


WRONG = [0, -20 * 60, 20 * 60, -(TRUE.timestamp()), 14 * 365 * 86400]
"""Right, twenty minutes behind and ahead, in 1970, in 2040."""


@pytest.mark.parametrize("wrong_by", WRONG)
def test_the_time_is_the_servers(wrong_by: float) -> None:
    machine = Machine(wrong_by)
    machine.ask()

    assert abs(machine.clock.now() - machine.true) <= timedelta(seconds=1)
    assert machine.clock.skew_seconds() == pytest.approx(wrong_by, abs=1)


@pytest.mark.parametrize("leap", WRONG[1:])
def test_a_leap_between_two_answers_changes_nothing(leap: float) -> None:
    machine = Machine(0)
    machine.ask()
    machine.wrong_by = leap
    machine.passed += 100

    assert machine.clock.now() == machine.true
    machine.ask()
    assert abs(machine.clock.now() - machine.true) <= timedelta(seconds=1)


def test_an_answer_that_took_long_is_no_wrong_clock() -> None:
    machine = Machine(0)
    machine.ask(takes=600)

    assert machine.clock.now() == machine.true


def test_time_does_not_jitter_by_the_whole_seconds_of_a_date() -> None:
    machine = Machine(0)
    for _ in range(100):
        machine.passed += 0.37
        machine.ask(takes=0.01)
        assert machine.clock.now() == machine.true


@pytest.mark.parametrize("date", [None, "", "yesterday", "Fri, 99 May 2026 12:00:00 GMT"])
def test_an_answer_without_a_date_says_nothing(date: str | None) -> None:
    machine = Machine(5)

    machine.clock.answered(machine.clock.asked(), date)

    assert machine.clock.now() == machine.true + timedelta(seconds=5)


@pytest.mark.parametrize("wrong_by", WRONG)
def test_what_cannot_be_undone_is_done_when_both_say_so(wrong_by: float) -> None:
    machine = Machine(wrong_by)
    machine.ask()

    assert machine.clock.earliest() == min(machine.clock.now(), machine.clock.local())


def test_a_wrong_clock_is_told_once_and_when_it_is_right_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    machine = Machine(-1200)
    machine.ask()
    machine.ask()
    machine.wrong_by = 0
    machine.ask()

    told, again = caplog.messages
    assert told.startswith("This machine's clock is 0:20:00 behind the API server's")
    assert again == "This machine's clock agrees with the API server's again."
