"""MutatingAdmissionPolicies, and ValidatingAdmissionPolicies: the API server itself injects, from Kubernetes 1.36 on.

One set serves every builder: a policy takes the builder as its parameter and copies what its status says.
"""

from __future__ import annotations

from typing import Final

from buildkit_operator.admission import cachekey, cel, injected, matching, mutation, refusals, restore, variables
from buildkit_operator.admission.matching import Matching
from buildkit_operator.admission.warnings import UNSERVED
from buildkit_operator.api import generated, names
from buildkit_operator.kube.resources import Manifest

_API_VERSION: Final = "admissionregistration.k8s.io/v1"


def manifests() -> list[Manifest]:
    """Return the policies with their bindings."""
    return [*_by_label(), *_by_selector(), *_on_update(), *_in_a_sentence(), *_in_a_warning()]


def render() -> str:
    """Return them as YAML, the same bytes each time."""
    return generated.render("operator/buildkit_operator/admission", manifests())


def _by_label() -> list[Manifest]:
    """Return what serves pods that name their builder."""
    return _mutating(
        "label",
        matching.NAMED_AND_WITHOUT,
        named=cel.expression("params.metadata.name == object.metadata.labels['$BUILDER_LABEL']"),
    )


def _by_selector() -> list[Manifest]:
    """Return what serves pods that builders pick."""
    return _mutating("selector", matching.PICKED, picked=_PICKED)


_PICKED: Final = cel.expression(
    """
    has(params.spec.injection) && has(params.spec.injection.podSelector) && has(object.metadata.labels)
    && params.spec.injection.podSelector.matchLabels.all(k,
      k in object.metadata.labels && object.metadata.labels[k] == params.spec.injection.podSelector.matchLabels[k])
    && has(params.status.injection) && !($marked)
    """,
    marked=injected.IS_MARKED,
)
"""Whether a builder picks the pod, and none has come first."""


def _mutating(name: str, match: Matching, **condition: str) -> list[Manifest]:
    """Return a policy that adds a builder, for which a condition is asked with each builder as the parameter."""
    expression = mutation.splice(is_refused=match.failure_policy == "Fail")
    spec = {
        "failurePolicy": match.failure_policy,
        "reinvocationPolicy": matching.REINVOCATION_POLICY,
        "paramKind": {"apiVersion": names.API_VERSION, "kind": names.KIND},
        "matchConstraints": _constraints(match),
        "matchConditions": match.match_conditions(**condition),
        "variables": _named(variables.VARIABLES | cachekey.VARIABLES | refusals.VARIABLES),
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
    }
    # An empty selector without a namespace: every builder of the pod's own.
    builders = {"paramRef": {"selector": {}, "parameterNotFoundAction": "Allow"}}
    return _bound("MutatingAdmissionPolicy", name, spec, builders)


def _on_update() -> list[Manifest]:
    """Return what puts back the fields that a pod's update has lost."""
    match = matching.INJECTED
    spec = {
        "failurePolicy": match.failure_policy,
        "reinvocationPolicy": matching.REINVOCATION_POLICY,
        "matchConstraints": _constraints(match),
        "matchConditions": match.match_conditions(lossy=f"!({restore.EVERYTHING_THERE})"),
        "variables": _named(restore.VARIABLES),
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": restore.expression()}}],
    }
    return _bound("MutatingAdmissionPolicy", "restore", spec, {})


def _in_a_sentence() -> list[Manifest]:
    """Return what refuses a pod that named its builder and got nothing, with the reason that was noted on it.

    It sees the pod as it would be stored, and also one that no builder was looked at for.
    """
    match = matching.NAMED
    values = {"builder": "variables.builder", "namespace": "request.namespace"}
    spec = {
        "failurePolicy": match.failure_policy,
        "matchConstraints": _constraints(match),
        "matchConditions": match.match_conditions(),
        "variables": _named(
            {
                "builder": cel.expression("object.metadata.labels['$BUILDER_LABEL']"),
                "reason": cel.expression(
                    """
                    has(object.metadata.annotations) && '$NOT_INJECTED_ANNOTATION' in object.metadata.annotations
                    && object.metadata.annotations['$NOT_INJECTED_ANNOTATION'].startsWith($beginning)
                    ? string(object.metadata.annotations['$NOT_INJECTED_ANNOTATION'])
                    : ''
                    """,
                    beginning=cel.sentence(refusals.BEGINNING, values),
                ),
            }
        ),
        "validations": [
            {
                "expression": injected.HAS_BUILDER,
                "messageExpression": cel.expression(
                    """
                    variables.reason != '' ? variables.reason
                    : $marked ? $marked_only
                    : $none
                    """,
                    marked=injected.IS_MARKED,
                    marked_only=cel.sentence(injected.NOT_INJECTED, values),
                    none=cel.sentence(refusals.NO_BUILDER, values),
                ),
                "reason": "Invalid",
            }
        ],
    }
    return _bound("ValidatingAdmissionPolicy", "injected", spec, {"validationActions": ["Deny"]})


def _in_a_warning() -> list[Manifest]:
    """Return what warns of a pod of which no container got the builder that it has, as was noted on it."""
    match = matching.CREATED
    values = {"builder": cel.expression("object.metadata.labels['$INJECTED_LABEL']"), "namespace": "request.namespace"}
    spec = {
        "failurePolicy": match.failure_policy,
        "matchConstraints": _constraints(match),
        "matchConditions": match.match_conditions(),
        "validations": [
            {
                "expression": cel.expression(
                    """
                    !(has(object.metadata.annotations) && '$CONTAINERS_ANNOTATION' in object.metadata.annotations
                    && object.metadata.annotations['$CONTAINERS_ANNOTATION'] == '')
                    """
                ),
                "messageExpression": cel.sentence(UNSERVED, values),
            }
        ],
    }
    return _bound("ValidatingAdmissionPolicy", "served", spec, {"validationActions": ["Warn"]})


def _constraints(match: Matching) -> Manifest:
    return {**match.selectors(), "resourceRules": [match.rule()]}


def _named(expressions: dict[str, str]) -> list[Manifest]:
    return [{"name": name, "expression": expression} for name, expression in expressions.items()]


def _bound(kind: str, name: str, spec: Manifest, binding: Manifest) -> list[Manifest]:
    """Return a policy and the binding that puts it into force."""
    metadata = {"name": f"{names.OPERATOR}-{name}", "labels": {"app.kubernetes.io/name": names.OPERATOR}}
    return [
        {"apiVersion": _API_VERSION, "kind": kind, "metadata": metadata, "spec": spec},
        {
            "apiVersion": _API_VERSION,
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "spec": {"policyName": metadata["name"], **binding},
        },
    ]
