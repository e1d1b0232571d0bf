"""spec.shared.pod.affinity: the type Affinity of a pod (k8s.io/api, core/v1/types.go), with bounds.

What the scheduler makes of it the API server checks in the Deployment; here is what can be written at all, so that
nothing of any depth or size is stored.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from buildkit_operator.api.field_types import LabelKey, LabelValue, ObjectName, ShortName
from buildkit_operator.api.fields import ATOMIC, Model, rule, rules
from buildkit_operator.api.selectors import (
    LabelSelector,
    requirement_entries,
    requirement_entries_in_cel,
    selector_entries,
    selector_entries_in_cel,
)

MOST_ENTRIES: Final = 128
"""Labels, requirements and values of all terms together."""

_TOO_MANY: Final = f"all terms together may have at most {MOST_ENTRIES} labels, requirements and values"
_REQUIRED: Final = "self.requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "self.preferredDuringSchedulingIgnoredDuringExecution"

Weight = Annotated[int, Field(ge=1, le=100)]


class NodeSelectorRequirement(Model):
    """One requirement on labels of a node."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "(self.operator in ['Exists', 'DoesNotExist']) == (!has(self.values) || size(self.values) == 0)",
                "In and NotIn need values, Gt and Lt one; Exists and DoesNotExist have none",
                ".values",
            ),
            rule(
                "!(self.operator in ['Gt', 'Lt']) || "
                "has(self.values) && size(self.values) == 1 && self.values[0].matches('^[0-9]{1,18}$')",
                "Gt and Lt compare with one whole number",
                ".values",
            ),
        )
    )

    key: LabelKey
    """Label key."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    """How the value is compared; Gt and Lt compare it as a number."""
    values: Annotated[list[LabelValue], Field(max_length=32)] = Field(default=[], json_schema_extra=ATOMIC)
    """Values for In and NotIn, one for Gt and Lt."""


class NodeField(StrEnum):
    """A field of a node that it can be chosen by."""

    NAME = "metadata.name"


class NodeFieldRequirement(Model):
    """One requirement on a field of a node."""

    key: NodeField
    """Name of the field; there is one."""
    operator: Literal["In", "NotIn"]
    """Whether it has the value, or has not."""
    values: Annotated[list[ObjectName], Field(min_length=1, max_length=1)] = Field(json_schema_extra=ATOMIC)
    """The value."""


class NodeSelectorTerm(Model):
    """Nodes; all that is said must hold."""

    match_expressions: Annotated[list[NodeSelectorRequirement], Field(max_length=8)] = Field(
        default=[], json_schema_extra=ATOMIC
    )
    """Requirements on labels of a node."""
    match_fields: Annotated[list[NodeFieldRequirement], Field(max_length=2)] = Field(
        default=[], json_schema_extra=ATOMIC
    )
    """Requirements on its fields."""


class NodeSelector(Model):
    """Nodes that one of several terms holds of."""

    node_selector_terms: Annotated[list[NodeSelectorTerm], Field(min_length=1, max_length=8)] = Field(
        json_schema_extra=ATOMIC
    )
    """The terms."""


class PreferredSchedulingTerm(Model):
    """Nodes that are better than others."""

    weight: Weight
    """How much better, 1 to 100."""
    preference: NodeSelectorTerm
    """Which nodes."""


_NODE_ENTRIES: Final = (
    f"(has({_REQUIRED}) ? {_REQUIRED}.nodeSelectorTerms"
    f".map(t, {requirement_entries_in_cel('t', 'matchExpressions')}).sum() : 0) + "
    f"(has({_PREFERRED}) ? {_PREFERRED}.map(t, {requirement_entries_in_cel('t.preference', 'matchExpressions')})"
    ".sum() : 0)"
)


class NodeAffinity(Model):
    """Which nodes the pods run on."""

    model_config = ConfigDict(json_schema_extra=rules(rule(f"{_NODE_ENTRIES} <= {MOST_ENTRIES}", _TOO_MANY)))

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    """Nodes that are possible."""
    preferred_during_scheduling_ignored_during_execution: Annotated[
        list[PreferredSchedulingTerm], Field(max_length=8)
    ] = Field(default=[], json_schema_extra=ATOMIC)
    """Nodes that are better than others."""

    @model_validator(mode="after")
    def _few_entries(self) -> Self:
        required = self.required_during_scheduling_ignored_during_execution
        terms = [
            *(required.node_selector_terms if required is not None else ()),
            *(term.preference for term in self.preferred_during_scheduling_ignored_during_execution),
        ]
        if sum(requirement_entries(term.match_expressions) for term in terms) > MOST_ENTRIES:
            raise ValueError(_TOO_MANY)
        return self


class PodAffinityTerm(Model):
    """Pods, and how near they are."""

    label_selector: LabelSelector | None = None
    """Pods by their labels; unset: none."""
    match_label_keys: Annotated[list[LabelKey], Field(max_length=2)] = Field(default=[], json_schema_extra=ATOMIC)
    """Labels in which they are like the daemon's own pod."""
    mismatch_label_keys: Annotated[list[LabelKey], Field(max_length=2)] = Field(default=[], json_schema_extra=ATOMIC)
    """Labels in which they differ from it."""
    namespaces: Annotated[list[ShortName], Field(max_length=8)] = Field(default=[], json_schema_extra=ATOMIC)
    """Their namespaces; unset, as namespaceSelector: the builder's own."""
    namespace_selector: LabelSelector | None = None
    """Their namespaces by labels; empty: all."""
    topology_key: LabelKey
    """Node label in which their nodes and the daemon's are the same, such as kubernetes.io/hostname."""

    @model_validator(mode="after")
    def _keys_add_to_the_selector(self) -> Self:
        """Ask what the API server asks of these keys in a pod (KEP-3633)."""
        keys = {*self.match_label_keys, *self.mismatch_label_keys}
        if keys and self.label_selector is None:
            raise ValueError("matchLabelKeys and mismatchLabelKeys are only for terms with a labelSelector")
        selected = self.label_selector or LabelSelector()
        taken = {*selected.match_labels, *(requirement.key for requirement in selected.match_expressions)}
        if keys & taken or len(keys) < len(self.match_label_keys) + len(self.mismatch_label_keys):
            raise ValueError("a key stands once in labelSelector, matchLabelKeys and mismatchLabelKeys together")
        return self


class WeightedPodAffinityTerm(Model):
    """Pods that it is better to be near to, or away from."""

    weight: Weight
    """How much better, 1 to 100."""
    pod_affinity_term: PodAffinityTerm
    """Which pods."""


def _pod_entries(term: str) -> str:
    selectors = (selector_entries_in_cel(term, field) for field in ("labelSelector", "namespaceSelector"))
    return " + ".join(selectors)


_POD_ENTRIES: Final = (
    f"(has({_REQUIRED}) ? {_REQUIRED}.map(t, {_pod_entries('t')}).sum() : 0) + "
    f"(has({_PREFERRED}) ? {_PREFERRED}.map(t, {_pod_entries('t.podAffinityTerm')}).sum() : 0)"
)


class PodAffinity(Model):
    """Which pods the daemons run near to, or away from."""

    model_config = ConfigDict(json_schema_extra=rules(rule(f"{_POD_ENTRIES} <= {MOST_ENTRIES}", _TOO_MANY)))

    required_during_scheduling_ignored_during_execution: Annotated[list[PodAffinityTerm], Field(max_length=4)] = Field(
        default=[], json_schema_extra=ATOMIC
    )
    """What must be."""
    preferred_during_scheduling_ignored_during_execution: Annotated[
        list[WeightedPodAffinityTerm], Field(max_length=4)
    ] = Field(default=[], json_schema_extra=ATOMIC)
    """What is better."""

    @model_validator(mode="after")
    def _few_entries(self) -> Self:
        terms = [
            *self.required_during_scheduling_ignored_during_execution,
            *(term.pod_affinity_term for term in self.preferred_during_scheduling_ignored_during_execution),
        ]
        selectors = [selector for term in terms for selector in (term.label_selector, term.namespace_selector)]
        if sum(map(selector_entries, selectors)) > MOST_ENTRIES:
            raise ValueError(_TOO_MANY)
        return self


class Affinity(Model):
    """Which nodes and pods the daemons are near to."""

    node_affinity: NodeAffinity | None = None
    """Nodes they run on."""
    pod_affinity: PodAffinity | None = None
    """Pods they run near to."""
    pod_anti_affinity: PodAffinity | None = None
    """Pods they run away from."""
