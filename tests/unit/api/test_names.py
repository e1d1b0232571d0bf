"""Every name made from a builder's fits where Kubernetes puts it."""

import re

import pytest

from buildkit_operator.api import names
from tests.unit.make import children_of, fake_certificates, make_builder

LONGEST = "a" * names.MAX_NAME_LENGTH
LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


@pytest.mark.parametrize("name", [LONGEST, "a"])
def test_each_child_of_the_longest_and_the_shortest_name_has_a_dns_label_for_a_name(name: str) -> None:
    builder = make_builder(name)

    for child in children_of(builder, fake_certificates(builder)):
        made = child["metadata"]["name"]
        assert LABEL.fullmatch(made)
        assert len(made) <= 63


def test_no_two_children_share_a_name_and_a_kind() -> None:
    builder = make_builder()
    made = [(child["kind"], child["metadata"]["name"]) for child in children_of(builder)]

    assert len(made) == len(set(made))


def test_label_values_of_the_longest_name_fit() -> None:
    builder = make_builder(LONGEST)

    for child in children_of(builder):
        assert all(len(value) <= 63 for value in child["metadata"]["labels"].values())


@pytest.mark.parametrize("suffix", ["-buildkitd", "-buildkitd-ca", "-buildkitd-tls", "-connection"])
def test_builders_whose_names_extend_one_another_can_share_a_name_of_no_child(suffix: str) -> None:
    of_one = {child["metadata"]["name"] for child in children_of(make_builder("demo"))}
    of_other = {child["metadata"]["name"] for child in children_of(make_builder(f"demo{suffix}"))}

    assert not of_one & of_other
