"""When the webhook's certificate is made anew, and which authorities are trusted meanwhile."""

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from cryptography import x509

from buildkit_operator.pki.issuer import issue_authority
from buildkit_operator.pki.keypairs import KeyPair, Lifetimes
from buildkit_operator.webhook.certificate import ServingCertificate, current, read, secret

DNS_NAME: Final = "buildkit-operator-webhook.ci.svc"
START: Final = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY: Final = timedelta(days=1)
LIFETIMES: Final = Lifetimes(authority=300 * DAY, leaf=90 * DAY)


def after(
    days: float, stored: ServingCertificate | None, trusted: tuple[bytes, ...] | None = None
) -> ServingCertificate:
    before = stored.authorities if stored and trusted is None else trusted or ()
    return current(stored, before, DNS_NAME, LIFETIMES, START + days * DAY)


@pytest.fixture(scope="module")
def first() -> ServingCertificate:
    return after(0, None)


def test_the_certificate_is_for_the_services_name_and_of_the_authority(first: ServingCertificate) -> None:
    certificate = first.server.parsed()

    certificate.verify_directly_issued_by(first.authority.parsed())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [DNS_NAME]
    # Go takes a certificate whose issuer has its own name for one that is signed by itself.
    assert certificate.subject != certificate.issuer


def test_it_stays_until_two_thirds_of_its_life_are_over(first: ServingCertificate) -> None:
    assert after(59, first) is first
    assert first.renewal < START + 60 * DAY
    renewed = after(60, first)

    assert renewed.server != first.server
    assert (renewed.authorities, renewed.authority_key) == (first.authorities, first.authority_key)


def test_a_new_authority_comes_with_a_new_certificate_and_the_old_one_stays_trusted(first: ServingCertificate) -> None:
    second = after(200, first)

    second.server.parsed().verify_directly_issued_by(second.authority.parsed())
    assert second.authorities == (second.authority.certificate, *first.authorities)
    assert second.authority.certificate != first.authority.certificate


def test_the_old_authority_goes_when_no_certificate_of_it_can_be_left(first: ServingCertificate) -> None:
    second = after(200, first)
    third = after(260, second)
    fourth = after(320, third)

    assert third.authorities == second.authorities
    assert fourth.authorities == second.authorities[:1]


def test_an_authority_that_has_ended_is_not_trusted_again(first: ServingCertificate) -> None:
    assert after(301, None, first.authorities).authorities[1:] == ()


def test_what_is_lost_is_made_anew_and_what_may_be_presented_stays_trusted(first: ServingCertificate) -> None:
    anew = after(1, None, first.authorities)

    assert anew.server != first.server
    assert anew.authorities == (anew.authority.certificate, *first.authorities)


@pytest.mark.parametrize("days", [-6 / 1440, -20 / 1440, -56 * 365])
def test_a_clock_that_is_behind_replaces_nothing(first: ServingCertificate, days: float) -> None:
    assert after(days, first) is first


@pytest.mark.parametrize("days", [-56 * 365, 20 / 1440, 365, 14 * 365])
def test_this_machines_clock_alone_replaces_nothing(first: ServingCertificate, days: float) -> None:
    local = START + days * DAY

    assert current(first, first.authorities, DNS_NAME, LIFETIMES, START, local=local) is first


def test_the_api_servers_clock_alone_replaces_no_authority(first: ServingCertificate) -> None:
    leapt = current(first, first.authorities, DNS_NAME, LIFETIMES, START + 250 * DAY, local=START)
    assert leapt.authorities == first.authorities
    assert leapt.server != first.server

    # It is right again, and refuses what has not begun.
    back = current(leapt, leapt.authorities, DNS_NAME, LIFETIMES, START, local=START)
    assert back.authorities == first.authorities
    assert back.server.parsed().not_valid_before_utc < START


@pytest.mark.parametrize("key", ["server", "authority"])
def test_a_key_of_another_certificate_is_of_no_use(first: ServingCertificate, key: str) -> None:
    stranger = issue_authority("stranger", DAY, START).key
    broken = (
        ServingCertificate(first.authorities, first.authority_key, KeyPair(first.server.certificate, stranger))
        if key == "server"
        else ServingCertificate(first.authorities, stranger, first.server)
    )

    assert after(0, broken).server != first.server


def test_another_name_needs_another_certificate(first: ServingCertificate) -> None:
    renamed = current(first, first.authorities, "webhook.elsewhere.svc", LIFETIMES, START)

    assert renamed.authorities == first.authorities
    assert renamed.server != first.server


def test_the_secret_holds_all_of_it(first: ServingCertificate) -> None:
    second = after(200, first)

    assert read(secret(second, "ci", "webhook")) == second


@pytest.mark.parametrize("key", ["ca.crt", "ca.key", "tls.crt", "tls.key"])
@pytest.mark.parametrize("damage", ["missing", "no base64"])
def test_a_secret_that_lacks_a_part_holds_nothing(first: ServingCertificate, key: str, damage: str) -> None:
    stored = secret(first, "ci", "webhook")
    if damage == "missing":
        del stored["data"][key]
    else:
        stored["data"][key] = "x"

    assert read(stored) is None


def test_no_secret_holds_nothing() -> None:
    assert read(None) is None
    assert read({"metadata": {"name": "webhook"}}) is None


def test_what_is_printed_shows_no_key(first: ServingCertificate) -> None:
    assert repr(first) == "ServingCertificate(…)"
