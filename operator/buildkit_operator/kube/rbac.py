"""RBAC policy rules as data: each with the reason for which an account needs it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from buildkit_operator.kube.resources import Resource


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One rule of a Role or ClusterRole (rbac.authorization.k8s.io/v1)."""

    group: str
    """API group; empty for the core group."""
    resources: tuple[str, ...]
    """Plurals, or a plural with its subresource: `buildkitbuilders/status`."""
    verbs: tuple[str, ...]
    reason: str = ""
    """Why, for those who read the roles; empty where the rule speaks for itself."""
    resource_names: tuple[str, ...] = ()
    """Names of the objects that are meant; empty for all."""


def allow(
    resource: Resource, *verbs: str, reason: str = "", subresource: str = "", names: tuple[str, ...] = ()
) -> PolicyRule:
    """Return the rule for a kind, or for a subresource of it."""
    plural = f"{resource.plural}/{subresource}" if subresource else resource.plural
    return PolicyRule(resource.group, (plural,), verbs, reason, names)


def merged(rules: Iterable[PolicyRule]) -> Iterator[PolicyRule]:
    """Yield rules, with those that stand side by side and differ by their resources alone as one."""
    last: PolicyRule | None = None
    for rule in rules:
        if last is not None and replace(rule, resources=last.resources) == last:
            last = replace(last, resources=(*last.resources, *rule.resources))
            continue
        if last is not None:
            yield last
        last = rule
    if last is not None:
        yield last
