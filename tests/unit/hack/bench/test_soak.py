"""How the soak test judges builds by what their clients print."""

import pytest

from hack.bench.soak.tally import Build, Kill, Tally, builds_of

LOG = """\
+ echo 'started 1 100'
started 1 100
finished 1 104
started 2 105
failed 2 110: rpc error: code = Unavailable
started 3 111
failed 3 112:
started 4 113
"""

GOOD = Build("shared", "a", 100, 104)
FAILED = Build("shared", "a", 105, 110, "rpc error: code = Unavailable")
WORDLESS = Build("shared", "a", 111, 112, "")
RUNNING = Build("shared", "a", 113)


def test_a_clients_log_tells_of_its_builds() -> None:
    assert builds_of("shared", "a", LOG) == [GOOD, FAILED, WORDLESS, RUNNING]


@pytest.mark.parametrize(
    "kill",
    [Kill("shared", 105), Kill("shared", 110), Kill("shared", 106, "a"), Kill("shared", 90, "a")],
    ids=["as it began", "as it failed", "of its pod", "of its pod, and not back yet"],
)
def test_a_build_that_ran_on_a_killed_daemon_is_not_lost(kill: Kill) -> None:
    tally = Tally.of([GOOD, FAILED], [kill])

    assert (tally.finished, tally.killed, tally.lost) == (1, [FAILED], [])


@pytest.mark.parametrize(
    "kill",
    [
        Kill("other", 106),
        Kill("shared", 103),
        Kill("shared", 112),
        Kill("shared", 106, "b"),
        Kill("shared", 70, "a"),
    ],
    ids=["of another builder", "before it began", "after it failed", "of another pod", "of its pod, long before"],
)
def test_one_that_failed_otherwise_is_lost(kill: Kill) -> None:
    assert Tally.of([FAILED], [kill]).lost == [FAILED]


def test_one_that_fails_long_after_the_kill_is_lost() -> None:
    late = Build("shared", "a", 100, 300, "timeout")

    assert Tally.of([late], [Kill("shared", 105)]).lost == [late]


def test_it_counts_what_runs_and_what_said_nothing() -> None:
    tally = Tally.of([GOOD, FAILED, WORDLESS, RUNNING], [])

    assert (tally.started, tally.running, tally.without_words, tally.seconds) == (4, 1, 1, [4])
