"""Match constraints: which requests an engine is asked about, and what becomes of these when it does not answer.

Each stands here once. The admission policies and the MutatingWebhookConfiguration are made of it, and the command line
goes by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final, Literal

from buildkit_operator.admission import cel
from buildkit_operator.api import names
from buildkit_operator.kube.resources import Manifest

EXCLUDED_NAMESPACES: Final = ("kube-system", names.OPERATOR)
"""Where no pod is looked at: the cluster's own, and the operator's, which is named after it."""
MIRROR_ANNOTATION: Final = "kubernetes.io/config.mirror"
"""Marks mirror pods: they only show what a kubelet runs already, from a file of its own, and nothing can be added."""
ENABLED: Final = "enabled"
"""The value of the label buildkit-operator.dev/injection with which a namespace lets builders pick its pods."""
REINVOCATION_POLICY: Final = "Never"
"""What webhooks add later are their own helpers, no jobs; and with a marked pod nothing is done a second time."""

Operator = Literal["Exists", "DoesNotExist"]


@dataclass(frozen=True)
class Matching:
    """Requests on pods that one engine's policy or webhook is asked about."""

    operation: Literal["CREATE", "UPDATE"]
    labels: Mapping[str, Operator]
    """Labels that the pod has, or has not."""
    failure_policy: Literal["Fail", "Ignore"]
    """Whether the request is refused when there is no answer, or goes on."""
    is_opt_in: bool = False
    """Whether only pods of namespaces that let builders pick theirs are meant."""
    conditions: Mapping[str, str] = field(default_factory=dict)
    """What else must be so, in CEL, by name."""

    def rule(self) -> Manifest:
        """Return the operation and the resource, as policies and webhooks have them."""
        pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": [self.operation], "resources": ["pods"]}
        return {**pods, "scope": "Namespaced"}

    def selectors(self) -> Manifest:
        """Return the selectors of namespaces and of pods, likewise."""
        opted_in = {"key": names.INJECTION_LABEL, "operator": "In", "values": [ENABLED]}
        excluded = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": list(EXCLUDED_NAMESPACES)}
        return {
            "namespaceSelector": {"matchExpressions": [*([opted_in] if self.is_opt_in else []), excluded]},
            "objectSelector": {"matchExpressions": [{"key": key, "operator": has} for key, has in self.labels.items()]},
        }

    def match_conditions(self, **first: str) -> list[Manifest]:
        """Return the match conditions, after those of an engine's own, as policies and webhooks have them."""
        return [{"name": name, "expression": text} for name, text in {**first, **self.conditions}.items()]


_NO_MIRROR: Final = {
    "no-mirror": cel.expression(
        "!(has(object.metadata.annotations) && '$mirror' in object.metadata.annotations)", mirror=MIRROR_ANNOTATION
    )
}

NAMED: Final = Matching("CREATE", {names.BUILDER_LABEL: "Exists"}, failure_policy="Fail", conditions=_NO_MIRROR)
"""Pods that name their builder. It fails closed: they cannot do without."""

NAMED_AND_WITHOUT: Final = replace(NAMED, labels={**NAMED.labels, names.INJECTED_LABEL: "DoesNotExist"})
"""Those of them that are not marked as injected."""

PICKED: Final = Matching(
    "CREATE",
    {names.BUILDER_LABEL: "DoesNotExist", names.INJECTED_LABEL: "DoesNotExist"},
    failure_policy="Ignore",
    is_opt_in=True,
    conditions=_NO_MIRROR,
)
"""Pods that builders pick by spec.injection.podSelector. It fails open: they never asked."""

CREATED: Final = Matching("CREATE", {names.INJECTED_LABEL: "Exists"}, failure_policy="Ignore", conditions=_NO_MIRROR)
"""Pods with a builder as they are created, for what their authors should know. It fails open: nothing depends on it."""

INJECTED: Final = Matching("UPDATE", {names.INJECTED_LABEL: "Exists"}, failure_policy="Ignore")
"""Injected pods, for what clients with old types drop from them. It fails open: most updates drop nothing."""


class NotAsked(StrEnum):
    """Why no engine is asked about a pod that is created."""

    NAMESPACE = "namespace"
    """It is in one of EXCLUDED_NAMESPACES."""
    MIRROR = "mirror"
    """It is a mirror pod."""
    UNLABELLED = "unlabelled"
    """It names no builder, and its namespace does not let builders pick pods."""


def why_not_asked(pod: Manifest, namespace: str, namespace_labels: Mapping[str, Any] | None = None) -> NotAsked | None:
    """Return why no engine is asked about a pod that is created, None where one is.

    Without labels of the namespace, pods that builders pick count among those that are asked about.
    """
    metadata = pod["metadata"]
    if namespace in EXCLUDED_NAMESPACES:
        return NotAsked.NAMESPACE
    if MIRROR_ANNOTATION in (metadata.get("annotations") or {}):
        return NotAsked.MIRROR
    may_be_picked = namespace_labels is None or namespace_labels.get(names.INJECTION_LABEL) == ENABLED
    if names.BUILDER_LABEL not in (metadata.get("labels") or {}) and not may_be_picked:
        return NotAsked.UNLABELLED
    return None
