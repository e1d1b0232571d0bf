"""Rules that are made from a model's fields."""

from enum import StrEnum

import pytest
from pydantic import Field

from buildkit_operator.api.field_types import PodAmount
from buildkit_operator.api.fields import Model, RuleOfModel, alone


class Colour(StrEnum):
    RED = "Red"


class Bare(Model):
    label: str | None = None


class Inner(Model):
    size: int = 3
    bare: Bare = Bare()


class Outer(Model):
    from_other: str | None = Field(default=None, alias="from")
    name: str
    long_name: str = "x"
    colour: Colour = Colour.RED
    on: bool = False
    amount: PodAmount = "1"
    items: list[str] = Field(default=[])
    labels: dict[str, str] = Field(default={})
    inner: Inner = Inner()
    bare: Bare = Bare()
    optional: Inner | None = None


def rule_for(beside: set[str]) -> RuleOfModel:
    return alone("!has(self.from)", beside, "nothing else may be set", ".from")


def test_each_field_but_those_beside_has_its_default_or_is_not_set() -> None:
    assert rule_for({"from_other"})(Outer) == {
        "rule": (
            "!has(self.from) || (!has(self.name) && self.longName == 'x' && self.colour == 'Red' && self.on == false"
            " && type(self.amount) == string && self.amount == '1' && !has(self.items) && !has(self.labels)"
            " && self.inner.size == 3 && !has(self.inner.bare) && !has(self.bare) && !has(self.optional))"
        ),
        "message": "nothing else may be set",
        "fieldPath": ".from",
    }


def test_a_default_that_cel_would_read_otherwise_is_an_error() -> None:
    class Quoted(Model):
        name: str = "it's"

    with pytest.raises(ValueError, match="single quotes"):
        rule_for(set())(Quoted)
