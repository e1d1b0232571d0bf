"""Certificates: kept while they will do, made anew where not, and never shown."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from buildkit_operator.controller.cert_manager_requests import CertManagerRequests
from buildkit_operator.controller.certificate_issuance import (
    CertificateIssuance,
    StoredCertificates,
    issue_due,
    stored_in,
)
from buildkit_operator.desired.certificates import Certificates, key_pair, secrets
from buildkit_operator.engine.named_objects import NamedObjects
from buildkit_operator.kube.clock import ServerClock
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.pki.issuer import issue_leaf
from buildkit_operator.pki.keypairs import KeyPair, Lifetimes, Usage, names_of
from tests.unit.make import FAKE_CERTIFICATES, NOW, make_builder

DAY = timedelta(days=1)
LIFETIMES = Lifetimes(authority=900 * DAY, leaf=90 * DAY)


def complete(stored: StoredCertificates, now: datetime = NOW, **shared: Any) -> Certificates:
    return issue_due(make_builder(shared=shared), stored, "cluster.local", LIFETIMES, now)


def stored(certificates: Certificates) -> StoredCertificates:
    """Return what the Secrets hold that were written for these certificates."""
    return stored_in(*secrets(make_builder(), certificates))


NOTHING = StoredCertificates(None, None, None, None, None)
MADE = complete(NOTHING)


def authority_of(certificates: Certificates) -> KeyPair:
    assert certificates.authorities is not None
    return certificates.authorities.active


AUTHORITY = authority_of(MADE)


# What is made


def test_server_and_client_are_signed_by_the_authority() -> None:
    for leaf in (MADE.server, MADE.client):
        leaf.parsed().verify_directly_issued_by(AUTHORITY.parsed())


def test_a_strict_client_accepts_the_server_by_each_of_its_names() -> None:
    store = verification.Store([AUTHORITY.parsed()])
    names = (
        "demo-buildkitd",
        "demo-buildkitd.ci",
        "demo-buildkitd.ci.svc",
        "demo-buildkitd.ci.svc.cluster.local",
        "localhost",
    )

    for name in names:
        verifier = verification.PolicyBuilder().store(store).time(NOW).build_server_verifier(x509.DNSName(name))
        assert verifier.verify(MADE.server.parsed(), [])[-1] == AUTHORITY.parsed()


def test_a_strict_client_refuses_the_server_by_another_name() -> None:
    store = verification.Store([AUTHORITY.parsed()])
    verifier = verification.PolicyBuilder().store(store).time(NOW).build_server_verifier(x509.DNSName("other.ci.svc"))

    with pytest.raises(verification.VerificationError):
        verifier.verify(MADE.server.parsed(), [])


def test_names_that_the_user_adds_are_in_the_certificate() -> None:
    made = complete(NOTHING, tls={"dnsNames": ["builds.example.com", "*.example.org"]})
    names = made.server.parsed().extensions.get_extension_for_class(x509.SubjectAlternativeName).value

    assert {"builds.example.com", "*.example.org"} <= set(names.get_values_for_type(x509.DNSName))


def test_the_server_cannot_pass_for_a_client_nor_the_client_for_a_server() -> None:
    def usages(pair: KeyPair) -> list[x509.ObjectIdentifier]:
        return list(pair.parsed().extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)

    assert usages(MADE.server) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert usages(MADE.client) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_a_leaf_cannot_issue() -> None:
    for leaf in (MADE.server, MADE.client):
        constraints = leaf.parsed().extensions.get_extension_for_class(x509.BasicConstraints)
        assert not constraints.value.ca


def test_two_builders_have_nothing_in_common() -> None:
    other = complete(NOTHING)

    with pytest.raises(InvalidSignature):
        other.client.parsed().verify_directly_issued_by(AUTHORITY.parsed())


def test_a_certificate_is_valid_for_clocks_that_are_slow() -> None:
    assert MADE.server.parsed().not_valid_before_utc == NOW - timedelta(minutes=5)
    assert MADE.server.parsed().not_valid_after_utc == NOW + 90 * DAY


def test_names_too_long_for_a_common_name_are_cut() -> None:
    long = issue_due(make_builder("a" * 40), NOTHING, "cluster.local", LIFETIMES, NOW)

    assert len(long.server.parsed().subject.rfc4514_string()) <= len("CN=") + 64


# What is kept


def test_certificates_that_will_do_are_kept() -> None:
    assert complete(stored(MADE), NOW + 59 * DAY) == MADE


def test_the_order_of_the_users_names_does_not_matter() -> None:
    made = complete(NOTHING, tls={"dnsNames": ["b.example.com", "a.example.com"]})

    assert complete(stored(made), tls={"dnsNames": ["a.example.com", "b.example.com"]}) == made


def test_leaves_are_renewed_at_two_thirds_of_their_life() -> None:
    again = complete(stored(MADE), NOW + 61 * DAY)

    assert authority_of(again) == AUTHORITY
    assert again.server != MADE.server
    assert again.client != MADE.client


def test_the_next_renewal_is_that_of_the_leaves() -> None:
    assert abs(MADE.renewal - (NOW + 60 * DAY)) < timedelta(minutes=5)
    assert MADE.not_after == NOW + 90 * DAY


def test_a_renewal_that_is_due_is_not_due_again_at_once() -> None:
    again = complete(stored(MADE), MADE.renewal)

    assert again.server != MADE.server
    assert again.renewal > MADE.renewal


def test_the_server_alone_is_made_anew_for_other_names() -> None:
    again = complete(stored(MADE), tls={"dnsNames": ["builds.example.com"]})

    assert authority_of(again) == AUTHORITY
    assert again.server != MADE.server
    assert again.client == MADE.client


def test_a_leaf_of_another_authority_is_replaced() -> None:
    other = complete(NOTHING)

    again = complete(replace(stored(MADE), server=other.server))

    assert again == replace(MADE, server=again.server)
    assert again.server != other.server


def test_a_lost_authority_replaces_its_leaves_too() -> None:
    again = complete(replace(stored(MADE), active=None))

    assert again.server != MADE.server
    assert again.client != MADE.client


def test_a_leaf_for_the_other_use_is_replaced() -> None:
    serves = issue_leaf(AUTHORITY, "client", Usage.SERVER, [], 90 * DAY, NOW)

    again = complete(replace(stored(MADE), client=serves))

    assert again == replace(MADE, client=again.client)
    assert again.client != serves


def rsa_pair() -> KeyPair:
    key = rsa.generate_private_key(65537, 2048)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + 300 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(certificate.public_bytes(serialization.Encoding.PEM), pem(key))


def pem(key: Any, encryption: Any = None) -> bytes:
    return bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            encryption or serialization.NoEncryption(),
        )
    )


USELESS = {
    "no certificate": replace(AUTHORITY, certificate=b"nonsense"),
    "half a certificate": replace(AUTHORITY, certificate=AUTHORITY.certificate[:200]),
    "nothing": KeyPair(b"", b""),
    "no key": replace(AUTHORITY, key=b"nonsense"),
    "another's key": replace(AUTHORITY, key=MADE.server.key),
    "a locked key": replace(
        AUTHORITY,
        key=pem(
            serialization.load_pem_private_key(AUTHORITY.key, None),
            serialization.BestAvailableEncryption(b"secret"),
        ),
    ),
    "a leaf": MADE.server,
    "a foreign authority of another kind": rsa_pair(),
    "a key of another curve": replace(AUTHORITY, key=pem(ec.generate_private_key(ec.SECP384R1()))),
}


@pytest.mark.parametrize("what", USELESS)
def test_an_authority_that_is_useless_is_made_anew(what: str) -> None:
    again = complete(replace(stored(MADE), active=USELESS[what]))

    assert authority_of(again) != USELESS[what]
    again.server.parsed().verify_directly_issued_by(authority_of(again).parsed())


@pytest.mark.parametrize("what", sorted(USELESS.keys() - {"a leaf"}))
def test_a_server_certificate_that_is_useless_is_made_anew(what: str) -> None:
    again = complete(replace(stored(MADE), server=USELESS[what]))

    assert again == replace(MADE, server=again.server)
    assert again.server != USELESS[what]


# Clocks that are wrong

BEHIND = [timedelta(minutes=6), timedelta(minutes=20), 20 * DAY, (NOW.year - 1970) * 365 * DAY]
AHEAD = [timedelta(minutes=20), 61 * DAY, 365 * DAY, 14 * 365 * DAY]


@pytest.mark.parametrize("behind", BEHIND)
def test_a_clock_that_is_behind_replaces_nothing(behind: timedelta) -> None:
    assert complete(stored(MADE), NOW - behind) == MADE


@pytest.mark.parametrize("behind", BEHIND)
def test_a_certificate_that_is_lost_while_the_clock_is_behind_is_as_young_as_its_authority(behind: timedelta) -> None:
    again = complete(replace(stored(MADE), server=None), NOW - behind)

    assert authority_of(again) == AUTHORITY
    assert again.server.parsed().not_valid_before_utc == AUTHORITY.parsed().not_valid_before_utc
    assert again.server.parsed().not_valid_after_utc == MADE.server.parsed().not_valid_after_utc


def by_two_clocks(found: StoredCertificates, now: datetime, local: datetime) -> Certificates:
    return issue_due(make_builder(), found, "cluster.local", LIFETIMES, now, local=local)


@pytest.mark.parametrize("off", [-behind for behind in BEHIND] + AHEAD)
def test_this_machines_clock_alone_changes_nothing(off: timedelta) -> None:
    assert by_two_clocks(stored(MADE), NOW, NOW + off) == MADE


@pytest.mark.parametrize("ahead", AHEAD)
def test_the_servers_clock_alone_replaces_no_authority(ahead: timedelta) -> None:
    again = by_two_clocks(stored(MADE), NOW + ahead, NOW)

    assert again.authorities == MADE.authorities
    again.server.parsed().verify_directly_issued_by(AUTHORITY.parsed())


@pytest.mark.parametrize("ahead", [61 * DAY, 365 * DAY])
def test_what_was_issued_by_clocks_that_were_ahead_is_issued_anew(ahead: timedelta) -> None:
    leapt = by_two_clocks(stored(MADE), NOW + ahead, NOW)
    assert leapt.server != MADE.server

    back = by_two_clocks(stored(leapt), NOW, NOW)

    assert back.authorities == MADE.authorities
    assert back.server.parsed().not_valid_before_utc < NOW


def test_both_clocks_take_the_steps_of_a_rotation() -> None:
    due = NOW + 601 * DAY
    for now, local in ((due, NOW), (NOW, due)):
        assert by_two_clocks(stored(MADE), now, local).authorities == MADE.authorities

    both = by_two_clocks(stored(MADE), due, due).authorities
    assert both is not None
    assert both.next is not None


def test_an_authority_that_has_ended_by_both_clocks_is_made_anew() -> None:
    late = NOW + 901 * DAY

    assert authority_of(by_two_clocks(stored(MADE), late, late)) != AUTHORITY


def test_a_server_certificate_without_names_is_replaced() -> None:
    nameless = issue_leaf(AUTHORITY, "server", Usage.SERVER, [], 90 * DAY, NOW)

    assert complete(replace(stored(MADE), server=nameless)).server != nameless


# The Secrets


def test_secrets_carry_what_they_were_given_and_give_it_back() -> None:
    assert stored(MADE).complete(LIFETIMES, NOW) == MADE


def test_the_secret_of_one_authority_is_as_it_always_was() -> None:
    authority, _, _ = secrets(make_builder(), MADE)

    assert authority["data"].keys() == {"tls.crt", "tls.key"}


def test_the_authoritys_key_stands_in_its_own_secret_alone() -> None:
    authority, server, connection = secrets(make_builder(), FAKE_CERTIFICATES)

    assert authority["data"]["tls.key"] not in {*server["data"].values(), *connection["data"].values()}


def test_without_tls_the_address_is_all_there_is() -> None:
    (connection,) = secrets(make_builder(), None)

    assert connection["metadata"]["name"] == "demo-connection"
    assert connection["data"].keys() == {"BUILDKIT_HOST"}


@pytest.mark.parametrize("data", [None, {}, {"tls.crt": "QQ=="}, {"tls.crt": "A", "tls.key": "A"}])
def test_a_secret_without_a_pair_gives_none(data: Any) -> None:
    assert key_pair({"data": data}) is None
    assert key_pair(None) is None


def test_no_representation_shows_a_key() -> None:
    shown = repr(MADE) + str(MADE) + repr(stored(MADE)) + f"{MADE.client}"

    assert "BEGIN" not in shown
    assert "key=" not in shown


# Of a suspended builder


class Suspended:
    """Has the Secrets of a builder and keeps the time."""

    def __init__(self, certificates: Certificates, now: datetime) -> None:
        self._secrets = {found["metadata"]["name"]: found for found in secrets(make_builder(), certificates)}
        for found in self._secrets.values():
            found["metadata"] |= {"uid": "1", "resourceVersion": "7"}
        self._now = now

    async def get(self, _namespace: str, name: str) -> Manifest | None:
        return self._secrets.get(name)

    def now(self) -> datetime:
        return self._now

    local = now


async def renewed(now: datetime, **shared: Any) -> Certificates:
    parts = Suspended(MADE, now)
    issuance = CertificateIssuance(
        cast("NamedObjects", parts),
        cast("CertManagerRequests", parts),
        "cluster.local",
        LIFETIMES,
        cast("ServerClock", parts),
    )
    found = await issuance.renew(make_builder(suspend=True, shared=shared))
    assert found is not None
    return found


async def test_what_will_do_for_daemons_that_are_not_rolled_stays_whatever_the_spec_says_now() -> None:
    found = await renewed(NOW, tls={"dnsNames": ["new.example.com"]}, port=4321)

    assert (found.server, found.client) == (MADE.server, MADE.client)


async def test_certificates_that_are_due_are_renewed_by_the_same_authority() -> None:
    found = await renewed(NOW + 61 * DAY)

    assert found.client != MADE.client
    found.client.parsed().verify_directly_issued_by(AUTHORITY.parsed())
    assert names_of(found.server) == names_of(MADE.server)


async def test_no_authority_is_made_that_daemons_would_not_learn_of() -> None:
    found = await renewed(NOW + 700 * DAY)

    assert found.trust == MADE.trust
    found.client.parsed().verify_directly_issued_by(AUTHORITY.parsed())
