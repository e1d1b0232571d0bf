"""Every name made from a builder's fits where Kubernetes puts it."""

import re
from typing import Any

import pytest

from buildkit_operator.api import names
from buildkit_operator.api.architectures import Architecture
from buildkit_operator.controller.child_kinds import BY_KIND
from tests.unit.make import children_of, fake_certificates, make_builder

LONGEST = "a" * names.MAX_NAME_LENGTH
LONGEST_WITH_ARCHITECTURES = "a" * names.MAX_NAME_LENGTH_WITH_ARCHITECTURES
ALL: dict[str, Any] = {"shared": {"architectures": list(Architecture)}, "cache": {"persistentVolumeClaim": {}}}
LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


@pytest.mark.parametrize("name", [LONGEST, "a"])
def test_each_child_of_the_longest_and_the_shortest_name_has_a_dns_label_for_a_name(name: str) -> None:
    builder = make_builder(name)

    for child in children_of(builder, fake_certificates(builder)):
        made = child["metadata"]["name"]
        assert LABEL.fullmatch(made)
        assert len(made) <= 63


def test_names_with_an_architecture_fit_too() -> None:
    for child in children_of(make_builder(LONGEST_WITH_ARCHITECTURES, **ALL)):
        made = child["metadata"]["name"]
        assert LABEL.fullmatch(made)
        assert len(made) <= 63
        # In controller-revision-hash of its pods, with ten characters more at most (names.SimpleNameGenerator of apps).
        assert child["kind"] != "StatefulSet" or len(f"{made}-{'x' * 10}") <= 63


@pytest.mark.parametrize("spec", [{}, ALL])
def test_what_a_builder_is_given_is_found_again_by_its_name_alone(spec: dict[str, Any]) -> None:
    for child in children_of(make_builder(**spec), fake_certificates(make_builder())):
        assert child["metadata"]["name"] in BY_KIND[child["kind"]].names("demo")


@pytest.mark.parametrize("spec", [{}, ALL])
def test_no_two_children_share_a_name_and_a_kind(spec: dict[str, Any]) -> None:
    builder = make_builder(**spec)
    made = [(child["kind"], child["metadata"]["name"]) for child in children_of(builder)]

    assert len(made) == len(set(made))


def test_label_values_of_the_longest_name_fit() -> None:
    builder = make_builder(LONGEST)

    for child in children_of(builder):
        assert all(len(value) <= 63 for value in child["metadata"]["labels"].values())


@pytest.mark.parametrize("suffix", ["-buildkitd", "-buildkitd-ca", "-buildkitd-tls", "-connection", "-buildkitd-arm64"])
def test_builders_whose_names_extend_one_another_can_share_a_name_of_no_child(suffix: str) -> None:
    of_one = {child["metadata"]["name"] for child in children_of(make_builder("demo", **ALL))}
    of_other = {child["metadata"]["name"] for child in children_of(make_builder(f"demo{suffix}", **ALL))}

    assert not of_one & of_other
