"""How registries and their mirrors are reached: a mirror has what its registry's entry says, or an entry of its own."""

from typing import Any

import pytest

from buildkit_operator.api.daemon import Registry
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.desired.registries import tables
from buildkit_operator.kube.resources import Manifest
from tests.unit.make import injection_of, make_builder

CA = ["/etc/buildkit-registry-ca/company-ca.crt"]


def entry(host: str = "docker.io", *mirrors: str, **fields: Any) -> Registry:
    return Registry.model_validate({"host": host, "mirrors": mirrors, **fields})


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ({"plainHTTP": True}, {"http": True}),
        ({"insecureSkipVerify": True}, {"insecure": True}),
        ({"caSecretName": "company-ca"}, {"ca": CA}),
    ],
)
@pytest.mark.parametrize("mirror", ["mirror.example.com:5000", "mirror.example.com:5000/team/cache"])
def test_a_mirror_is_reached_as_its_registry_is(mirror: str, field: Manifest, expected: Manifest) -> None:
    assert tables([entry("quay.io", mirror, **field)], ()) == {
        "quay.io": {"mirrors": [mirror], **expected},
        "mirror.example.com:5000": expected,
    }


def test_what_a_plain_mirror_does_not_have_still_comes_from_docker_hub_by_tls() -> None:
    assert tables([entry("docker.io", "mirror.example.com", plainHTTP=True)], ()) == {
        "docker.io": {"mirrors": ["mirror.example.com"]},
        "mirror.example.com": {"http": True},
    }


def test_a_mirror_of_a_public_registry_needs_no_table() -> None:
    assert tables([entry("docker.io", "mirror")], ()) == {"docker.io": {"mirrors": ["mirror"]}}


@pytest.mark.parametrize("position", [0, 1])
def test_an_entry_of_its_own_wins_even_if_it_says_nothing(position: int) -> None:
    entries = [entry("docker.io", "mirror", plainHTTP=True)]
    entries.insert(position, entry("mirror"))

    assert tables(entries, ())["mirror"] == {}


def test_a_mirrors_own_entry_ends_a_contradiction() -> None:
    entries = [entry("a", "mirror", plainHTTP=True), entry("b", "mirror"), entry("mirror", caSecretName="company-ca")]

    assert tables(entries, ())["mirror"] == {"ca": CA}


def test_a_table_of_the_raw_part_is_an_entry_of_its_own() -> None:
    assert "mirror" not in tables([entry("docker.io", "mirror", plainHTTP=True)], {"mirror"})


def test_registries_that_agree_share_a_mirror() -> None:
    entries = [entry(host, f"mirror/{host}", caSecretName="company-ca") for host in ("docker.io", "ghcr.io")]

    assert tables(entries, ())["mirror"] == {"ca": CA}


def test_a_mirror_of_a_mirror_inherits_from_the_one_that_names_it() -> None:
    entries = [entry("docker.io", "near"), entry("near", "far", plainHTTP=True)]

    assert tables(entries, ())["far"] == {"http": True}


@pytest.mark.parametrize("other", [{}, {"plainHTTP": True}, {"caSecretName": "another-ca"}])
def test_a_contradiction_is_named_with_both_registries_and_the_remedy(other: Manifest) -> None:
    with pytest.raises(TerminalError) as caught:
        tables(
            [entry("a.example.com", "mirror/a", caSecretName="company-ca"), entry("b.example.com", "mirror", **other)],
            (),
        )

    assert caught.value.reason is Reason.INVALID_SPEC
    assert caught.value.message == (
        "spec.daemon.registries: a.example.com and b.example.com both have the mirror mirror, but differ in plainHTTP, "
        "insecureSkipVerify, caSecretName or clientCertificateSecretName, so it is unclear how to reach it. "
        "Give mirror an entry of its own."
    )


def test_a_mirrors_authority_is_mounted() -> None:
    registries = [{"host": "docker.io", "mirrors": ["mirror"], "caSecretName": "company-ca"}]
    (sidecar,) = injection_of(make_builder(mode="Sidecar", daemon={"registries": registries}))["initContainers"]

    assert {"/etc/buildkit-registry-ca"} <= {mount["mountPath"] for mount in sidecar["volumeMounts"]}
