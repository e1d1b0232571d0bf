"""Label selectors, as other kinds of Kubernetes have them, and how many entries several of them have together.

A list of selectors is bounded as a whole: each may be as long as anybody needs, and a builder still fits into etcd.
"""

from __future__ import annotations

from typing import Annotated, Literal, Protocol

from pydantic import ConfigDict, Field

from buildkit_operator.api.field_types import FewLabels, LabelKey, LabelValue
from buildkit_operator.api.fields import ATOMIC, Model, rule, rules


class LabelSelectorRequirement(Model):
    """One requirement on labels."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.operator.endsWith('In') == (has(self.values) && size(self.values) > 0)",
                "In and NotIn need values; Exists and DoesNotExist have none",
                ".values",
            )
        )
    )

    key: LabelKey
    """Label key."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the label's value is compared."""
    values: Annotated[list[LabelValue], Field(max_length=32)] = Field(default=[], json_schema_extra=ATOMIC)
    """Values for In and NotIn."""


class LabelSelector(Model):
    """Objects by their labels; all that is said must hold."""

    match_labels: FewLabels = Field(default={})
    """Labels that an object must have."""
    match_expressions: Annotated[list[LabelSelectorRequirement], Field(max_length=8)] = Field(
        default=[], json_schema_extra=ATOMIC
    )
    """Requirements on its labels."""


class NamespaceSelector(LabelSelector):
    """Namespaces by their labels; all that is said must hold."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.matchLabels) && size(self.matchLabels) > 0"
                " || has(self.matchExpressions) && size(self.matchExpressions) > 0",
                "an empty selector would admit every namespace: name at least one label",
            )
        )
    )


class Requirement(Protocol):
    """What one requirement on labels has in every kind of selector."""

    @property
    def values(self) -> list[str]:
        """Values that a label is compared with."""


def selector_entries(selector: LabelSelector | None) -> int:
    """Return how many labels, requirements and values a selector has."""
    return 0 if selector is None else len(selector.match_labels) + requirement_entries(selector.match_expressions)


def requirement_entries(requirements: list[Requirement] | list[LabelSelectorRequirement]) -> int:
    """Return how many requirements there are, and values of theirs."""
    return sum(1 + len(requirement.values) for requirement in requirements)


def selector_entries_in_cel(owner: str, field: str) -> str:
    """Return the same of a field that may not be set, in CEL."""
    path = f"{owner}.{field}"
    labels = f"(has({path}.matchLabels) ? size({path}.matchLabels) : 0)"
    return f"(has({path}) ? {labels} + {requirement_entries_in_cel(path, 'matchExpressions')} : 0)"


def requirement_entries_in_cel(owner: str, field: str) -> str:
    """Return the same of a field with requirements that may not be set, in CEL."""
    counted = f"{owner}.{field}.map(r, 1 + (has(r.values) ? size(r.values) : 0)).sum()"
    return f"(has({owner}.{field}) ? {counted} : 0)"
