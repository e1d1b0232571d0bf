"""A builder's certificates over the whole life of an authority and the next: nobody with a valid one ever fails."""

import ssl
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from cryptography import x509

from buildkit_operator.controller.certificate_issuance import StoredCertificates, issue_due, rotated, stored_in
from buildkit_operator.desired.certificates import Certificates, secrets
from buildkit_operator.pki.issuer import issue_authority
from buildkit_operator.pki.keypairs import CLOCK_SKEW, KeyPair, Lifetimes
from buildkit_operator.pki.rotation import Authorities, next_step
from tests.unit.make import NOW, make_builder

DAY: Final = timedelta(days=1)
LIFETIMES: Final = Lifetimes(authority=90 * DAY, leaf=12 * DAY)
BUILDER: Final = make_builder()
NAME: Final = "demo-buildkitd.ci.svc"
NO_CHECK_TIME: Final = ssl.VerifyFlags(0x200000)
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME: handshakes are real, the clock is ours."""

Moment = tuple[datetime, Certificates]


def renewed(certificates: Certificates | None, now: datetime) -> Certificates:
    """Return what the operator makes of what it wrote into the Secrets the last time."""
    stored = StoredCertificates(None, None, None, None, None)
    if certificates is not None:
        stored = stored_in(*secrets(BUILDER, certificates))
    return issue_due(BUILDER, stored, "cluster.local", LIFETIMES, now)


def life(length: timedelta) -> Iterator[Moment]:
    """Yield each set of certificates with the time from which it holds; the operator acts when it asked to, only."""
    now, certificates = NOW, renewed(None, NOW)
    while now < NOW + length:
        yield now, certificates
        now = certificates.renewal
        certificates = renewed(certificates, now)


@cache
def sets() -> tuple[Moment, ...]:
    """Return one and a half lives of an authority, which is the whole change from one to the next."""
    return tuple(life(1.5 * LIFETIMES.authority))


def is_valid(pair: KeyPair, now: datetime) -> bool:
    certificate = pair.parsed()
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc


def context(purpose: ssl.Purpose, trust: bytes, pair: KeyPair) -> ssl.SSLContext:
    """Return a strict peer with what it read from a Secret."""
    made = ssl.create_default_context(purpose, cadata=trust.decode())
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= NO_CHECK_TIME
    with TemporaryDirectory() as directory:
        file = Path(directory) / "pair.pem"
        file.write_bytes(pair.certificate + pair.key)
        made.load_cert_chain(file)
    return made


@cache
def shake_hands(server_set: int, client_set: int) -> None:
    """Have a daemon and a client speak TLS in memory. Raises ssl.SSLError when one refuses the other."""
    server, client = sets()[server_set][1], sets()[client_set][1]
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    daemon = context(ssl.Purpose.CLIENT_AUTH, server.trust, server.server).wrap_bio(
        to_server, to_client, server_side=True
    )
    job = context(ssl.Purpose.SERVER_AUTH, client.trust, client.client).wrap_bio(
        to_client, to_server, server_hostname=NAME
    )
    waiting = [job, daemon]
    while waiting:
        for peer in tuple(waiting):
            try:
                peer.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(peer)


def moments() -> Iterator[datetime]:
    """Yield the time of each change, and one shortly before the next."""
    for (begin, _), (end, _) in pairwise(sets()):
        yield begin
        yield end - timedelta(seconds=1)


def test_whoever_holds_a_valid_certificate_gets_on_with_whoever_else_does() -> None:
    met = set()
    for now in moments():
        known = [index for index, (begin, _) in enumerate(sets()) if begin <= now]
        daemons = [index for index in known if is_valid(sets()[index][1].server, now)]
        clients = [index for index in known if is_valid(sets()[index][1].client, now)]
        for daemon in daemons:
            for client in clients:
                shake_hands(daemon, client)
                met.add((daemon, client))

    # Old ones with new ones, across the change of the authority too.
    assert any(issuer(daemon, "server") != issuer(client, "client") for daemon, client in met)
    assert len({issuer(daemon, "server") for daemon, _ in met}) == 2


def issuer(index: int, which: str) -> bytes:
    authorities = sets()[index][1].authorities
    assert authorities is not None
    leaf: KeyPair = getattr(sets()[index][1], which)
    leaf.parsed().verify_directly_issued_by(authorities.active.parsed())
    return authorities.active.certificate


def test_two_that_have_no_authority_in_common_do_not_get_on() -> None:
    with pytest.raises(ssl.SSLError):
        shake_hands(0, len(sets()) - 1)


def test_no_certificate_outlives_its_authority() -> None:
    for _, certificates in sets():
        assert certificates.authorities is not None
        end = certificates.authorities.active.parsed().not_valid_after_utc
        for leaf in (certificates.server, certificates.client):
            assert leaf.parsed().not_valid_after_utc <= end


def bundle_size(index: int) -> int:
    return len(x509.load_pem_x509_certificates(sets()[index][1].trust))


def bundle_sizes() -> list[int]:
    sizes = [bundle_size(index) for index in range(len(sets()))]
    return [size for index, size in enumerate(sizes) if index == 0 or size != sizes[index - 1]]


def test_trust_grows_from_one_to_two_and_back_and_grows_again() -> None:
    assert bundle_sizes() == [1, 2, 1, 2]


def test_daemons_are_rolled_once_in_the_life_of_an_authority() -> None:
    """Connections that it let in end with it, and no renewal of a certificate rolls anything."""
    seen = [certificates.oldest_authority for _, certificates in sets()]

    assert sum(before != after for before, after in pairwise(seen)) == 1
    changed_at = next(index for index, (before, after) in enumerate(pairwise(seen), 1) if before != after)
    assert bundle_size(changed_at) < bundle_size(changed_at - 1), "none that the first one issued is valid any more"


def test_daemons_are_rolled_when_an_authority_is_replaced_at_once() -> None:
    _, certificates = sets()[0]

    assert renewed(None, NOW).oldest_authority != certificates.oldest_authority


def test_the_operator_is_woken_for_each_step_and_never_in_vain() -> None:
    times = [now for now, _ in sets()]

    assert times == sorted(set(times))
    for (_, before), (_, after) in pairwise(sets()):
        assert before != after


# One step at a time


def at(authorities: Authorities, now: datetime) -> Authorities:
    return rotated(authorities, LIFETIMES, now, lambda: issue_authority("next", LIFETIMES.authority, now))


def test_the_next_one_is_made_at_two_thirds_and_issues_one_leafs_life_later() -> None:
    first = Authorities(issue_authority("first", LIFETIMES.authority, NOW))
    prepared_at = next_step(first, LIFETIMES)
    assert abs(prepared_at - NOW - 60 * DAY) < CLOCK_SKEW

    prepared = at(first, prepared_at)
    assert prepared.active == first.active
    assert prepared.next is not None

    promoted_at = next_step(prepared, LIFETIMES)
    assert promoted_at == prepared_at.replace(microsecond=0) + 12 * DAY
    promoted = at(prepared, promoted_at)
    assert promoted == Authorities(prepared.next, previous=first.active.certificate)

    retired_at = next_step(promoted, LIFETIMES)
    assert retired_at == promoted_at + 12 * DAY
    assert at(promoted, retired_at) == Authorities(prepared.next)


def test_nothing_happens_between_the_steps() -> None:
    first = Authorities(issue_authority("first", LIFETIMES.authority, NOW))

    assert at(first, next_step(first, LIFETIMES) - timedelta(seconds=1)) == first


def test_made_late_the_next_one_takes_over_while_the_active_one_is_valid() -> None:
    first = Authorities(issue_authority("first", LIFETIMES.authority, NOW))
    prepared = at(first, NOW + 86 * DAY)

    assert next_step(prepared, LIFETIMES) == NOW + 88 * DAY


def test_after_a_long_absence_all_steps_that_are_due_are_taken_at_once() -> None:
    first = Authorities(issue_authority("first", LIFETIMES.authority, NOW))
    prepared = at(first, NOW + 60 * DAY)
    assert prepared.next is not None

    assert at(prepared, NOW + 89 * DAY) == Authorities(prepared.next)


def test_the_next_one_takes_over_when_the_active_one_is_lost() -> None:
    _, certificates = next((now, made) for now, made in sets() if made.authorities and made.authorities.next)
    authorities = certificates.authorities
    assert authorities is not None
    stored = replace(stored_in(*secrets(BUILDER, certificates)), active=None)

    again = issue_due(BUILDER, stored, "cluster.local", LIFETIMES, NOW + 61 * DAY)

    assert again.authorities is not None
    assert again.authorities.active == authorities.next


@pytest.mark.parametrize("garbage", [b"", b"nonsense"])
def test_what_is_stored_beside_the_active_one_may_be_useless(garbage: bytes) -> None:
    stored = replace(stored_in(*secrets(BUILDER, sets()[0][1])), next=KeyPair(garbage, garbage), previous=garbage)

    assert issue_due(BUILDER, stored, "cluster.local", LIFETIMES, NOW) == sets()[0][1]
