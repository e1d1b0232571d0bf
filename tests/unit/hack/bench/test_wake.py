"""When a build has started, by its pod's log."""

from datetime import UTC, datetime

from hack.bench.wake import first_told


def test_a_build_starts_with_its_first_line_of_progress() -> None:
    log = [
        "2026-11-30T21:00:00.100000000Z a word before",
        "2026-11-30T21:00:01.250000000Z #1 [internal] load build definition from Dockerfile",
        "2026-11-30T21:00:02.000000000Z #1 DONE 0.0s",
    ]

    assert first_told(log) == datetime(2026, 11, 30, 21, 0, 1, 250000, tzinfo=UTC).timestamp()
