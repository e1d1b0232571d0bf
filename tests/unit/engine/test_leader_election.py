"""How long another holder of the Lease is waited for, whatever somebody wrote into it."""

import pytest

from buildkit_operator.engine.leader_election import LEASE_SECONDS, LONGEST_SECONDS, duration


@pytest.mark.parametrize(
    ("seconds", "waited"),
    [
        (None, LEASE_SECONDS),
        (0, LEASE_SECONDS),
        (-5, LEASE_SECONDS),
        (1, 1),
        (15, 15),
        (40, 40),
        (2**31 - 1, LONGEST_SECONDS),
        (10**400, LONGEST_SECONDS),
    ],
)
def test_the_wait_for_a_holder_is_bounded(seconds: int | None, waited: float) -> None:
    assert duration({"leaseDurationSeconds": seconds}) == waited


def test_a_lease_that_says_nothing() -> None:
    assert duration({}) == LEASE_SECONDS
