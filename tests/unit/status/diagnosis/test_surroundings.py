"""What is told of a builder whose authority cannot be as young as it says, and of one that is another's."""

from dataclasses import replace
from datetime import timedelta

import pytest

from buildkit_operator.api.reasons import Reason
from buildkit_operator.pki.issuer import issue_authority
from buildkit_operator.pki.rotation import Authorities
from buildkit_operator.status.diagnosis.surroundings import authority_of_the_future, stands_back
from tests.unit.make import FAKE_CERTIFICATES, NOW

MADE = replace(FAKE_CERTIFICATES, authorities=Authorities(issue_authority("demo", timedelta(days=3650), NOW)))


@pytest.mark.parametrize("behind", [timedelta(minutes=20), timedelta(days=20000)])
def test_an_authority_of_the_future_is_told_with_its_secret(behind: timedelta) -> None:
    finding = authority_of_the_future("demo", MADE, NOW - behind)

    assert finding is not None
    assert finding.reason is Reason.CLOCK_WRONG
    assert "Secret demo-buildkitd-ca begins at 2026-11-24T11:55:00+00:00" in finding.message


def test_the_sentence_stays_the_same_while_time_passes() -> None:
    early, late = (authority_of_the_future("demo", MADE, NOW - timedelta(minutes=left)) for left in (20, 10))

    assert early == late


def test_nothing_is_told_of_one_that_has_begun_or_is_none_of_ours() -> None:
    assert authority_of_the_future("demo", MADE, NOW) is None
    assert authority_of_the_future("demo", None, NOW) is None
    assert authority_of_the_future("demo", replace(MADE, authorities=None), NOW) is None
    assert authority_of_the_future("demo", FAKE_CERTIFICATES, NOW) is None


def test_both_installations_are_named() -> None:
    finding = stands_back("two/buildkit-operator", "one/buildkit-operator")

    assert finding.reason is Reason.MANAGED_ELSEWHERE
    assert finding.message.startswith("Installation two/buildkit-operator of the operator leaves this builder to one/")
