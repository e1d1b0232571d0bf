"""What transcripts print is made the same at every run, and nothing else of it is changed."""

import pytest

from tests.support.likeness import likeness


@pytest.mark.parametrize("age", ["1s", "59s", "119s", "2m5s", "5m", "1h"])
def test_a_table_does_not_tell_how_old_its_objects_are(age: str) -> None:
    printed = f"NAME   TYPE     {'AGE'.ljust(len(age))}   MESSAGE\ndemo   Opaque   {age.ljust(3)}   All is well.\n"

    assert likeness(printed) == "NAME   TYPE     AGE   MESSAGE\ndemo   Opaque   10s   All is well.\n"


def test_an_empty_column_stays_empty() -> None:
    printed = "NAME      ENDPOINT   AGE\nsidecar              5s\n"

    assert likeness(printed) == "NAME      ENDPOINT   AGE\nsidecar              10s\n"


def test_a_build_step_does_not_tell_how_long_it_took() -> None:
    assert likeness("#6 [2/2] RUN id\n#6 1.234 0.25 is said\n") == "#6 [2/2] RUN id\n#6 0.100 0.25 is said\n"


def test_several_tables_are_made_the_same_one_by_one() -> None:
    printed = (
        "NAME   AGE\na      5s\n\nNAME                        TYPE     AGE\nsecret/demo-buildkitd-tls   Opaque   119s\n"
    )

    assert likeness(printed) == (
        "NAME   AGE\na      10s\n\nNAME                        TYPE     AGE\nsecret/demo-buildkitd-tls   Opaque   10s\n"
    )


def test_a_row_that_a_watch_repeats_or_widens_counts_once() -> None:
    printed = (
        "NAME   READY   REASON      AGE\n"
        "demo   True    Available   5s\n"
        "demo   True    Available   6s\n"
        "demo   False   ScaledToZero   7s\n"
    )

    assert likeness(printed) == (
        "NAME   READY   REASON         AGE\ndemo   True    Available      10s\ndemo   False   ScaledToZero   10s\n"
    )


@pytest.mark.parametrize(
    ("printed", "same"),
    [
        ("Creation Timestamp:  2026-01-02T03:04:05Z\n", "Creation Timestamp:  2026-11-24T12:00:00Z\n"),
        ("  Resource Version:    4711\n", "  Resource Version:    1000\n"),
        ('   resourceVersion: "4711"\n', '   resourceVersion: "1000"\n'),
        ("ClusterIP   10.96.200.7   <none>\n", "ClusterIP   10.96.12.34   <none>\n"),
        ("DESCRIPTION:\n    A size.\n    \n\n", "DESCRIPTION:\n    A size.\n"),
        ("UID: 01234567-89ab-cdef-0123-456789abcdef\n", "UID: 6f1c2a52-9d4e-4b8e-9d0c-0b1f3a5f7c11\n"),
        (
            "--- /tmp/LIVE-123/x\t2026-01-02 03:04:05.6 +0000\n",
            "--- /tmp/LIVE/x\t2026-11-24 12:00:00.000000000 +0000\n",
        ),
        ("  Normal  Available  3s    someone\n", "  Normal  Available  10s   someone\n"),
        ("  Injection:\n    Env:\n      Name:  A\n  Pods:\n", "  Injection:\n    …\n  Pods:\n"),
        ("deployment.apps/demo scaled, 2 of 3 daemons ready\n", "deployment.apps/demo scaled, 2 of 3 daemons ready\n"),
        ("Command timed out after 30sheep\n", "Command timed out after 30sheep\n"),
    ],
)
def test_what_differs_from_run_to_run_is_made_the_same_and_the_rest_stays(printed: str, same: str) -> None:
    assert likeness(printed) == same
