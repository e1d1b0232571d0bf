"""The admission policies: what the API server itself does for pods, from Kubernetes 1.36 on, without a webhook.

One set serves every builder: a policy takes the builder as its parameter and copies what its status says.
"""

from __future__ import annotations

from typing import Final

from buildkit_operator.admission import cachekey, cel, facts, injected, mutation, restore, rules
from buildkit_operator.admission.facts import Manifest
from buildkit_operator.api import generated, names

_API_VERSION: Final = "admissionregistration.k8s.io/v1"
_NAME: Final = "buildkit-operator"
EXCLUDED_NAMESPACES: Final = ("kube-system", _NAME)
"""Where no pod is looked at: the cluster's own, and the operator's."""
_NO_MIRROR: Final = cel.expression(
    "!(has(object.metadata.annotations) && 'kubernetes.io/config.mirror' in object.metadata.annotations)"
)
"""Mirror pods only show what a kubelet runs already, from a file of its own: nothing can be added any more."""


def manifests() -> list[Manifest]:
    """Return the policies with their bindings."""
    return [*_by_label(), *_by_selector(), *_on_update(), *_in_a_sentence()]


def render() -> str:
    """Return them as YAML, the same bytes each time."""
    return generated.render("operator/buildkit_operator/admission", manifests())


def _by_label() -> list[Manifest]:
    """Return what serves pods that name their builder. It fails closed: those pods cannot do without."""
    named = cel.expression("params.metadata.name == object.metadata.labels['$BUILDER_LABEL']")
    return _mutating(
        "label",
        failure="Fail",
        matches=_pods("CREATE", {names.BUILDER_LABEL: "Exists", names.INJECTED_LABEL: "DoesNotExist"}),
        condition={"named": named, "no-mirror": _NO_MIRROR},
    )


def _by_selector() -> list[Manifest]:
    """Return what serves pods that builders pick. It fails open: those pods never asked."""
    opted_in = [{"key": names.INJECTION_LABEL, "operator": "In", "values": ["enabled"]}]
    return _mutating(
        "selector",
        failure="Ignore",
        matches=_pods("CREATE", {names.BUILDER_LABEL: "DoesNotExist", names.INJECTED_LABEL: "DoesNotExist"}, opted_in),
        condition={"picked": _PICKED, "no-mirror": _NO_MIRROR},
    )


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


def _mutating(name: str, failure: str, matches: Manifest, condition: dict[str, str]) -> list[Manifest]:
    spec = {
        "failurePolicy": failure,
        # What webhooks add later are their own helpers, no jobs; and with a marked pod nothing is done a second time.
        "reinvocationPolicy": "Never",
        "paramKind": {"apiVersion": names.API_VERSION, "kind": names.KIND},
        "matchConstraints": matches,
        "matchConditions": _named(condition),
        "variables": _named(facts.VARIABLES | cachekey.VARIABLES | rules.VARIABLES),
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": mutation.splice()}}],
    }
    # An empty selector without a namespace: every builder of the pod's own.
    builders = {"paramRef": {"selector": {}, "parameterNotFoundAction": "Allow"}}
    return _bound("MutatingAdmissionPolicy", name, spec, builders)


def _on_update() -> list[Manifest]:
    """Return what puts back the fields that a pod's update has lost. It fails open, as most updates lose none."""
    spec = {
        "failurePolicy": "Ignore",
        "reinvocationPolicy": "Never",
        "matchConstraints": _pods("UPDATE", {names.INJECTED_LABEL: "Exists"}),
        "matchConditions": _named({"lossy": f"!({restore.EVERYTHING_THERE})"}),
        "variables": _named(restore.VARIABLES),
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": restore.expression()}}],
    }
    return _bound("MutatingAdmissionPolicy", "restore", spec, {})


def _in_a_sentence() -> list[Manifest]:
    """Return what refuses a pod that named its builder and got nothing, with the reason that was noted on it.

    It sees the pod as it would be stored, and also one that no builder was looked at for.
    """
    values = {"builder": "variables.builder", "namespace": "request.namespace"}
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": _pods("CREATE", {names.BUILDER_LABEL: "Exists"}),
        "matchConditions": _named({"no-mirror": _NO_MIRROR}),
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
                    beginning=cel.sentence(rules.BEGINNING, values),
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
                    none=cel.sentence(rules.NO_BUILDER, values),
                ),
                "reason": "Invalid",
            }
        ],
    }
    return _bound("ValidatingAdmissionPolicy", "injected", spec, {"validationActions": ["Deny"]})


def _pods(operation: str, labels: dict[str, str], namespaces: list[Manifest] | None = None) -> Manifest:
    """Return which requests a policy is for: those for pods with, or without, these labels."""
    excluded = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": list(EXCLUDED_NAMESPACES)}
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": [operation], "resources": ["pods"]}
    return {
        "namespaceSelector": {"matchExpressions": [*(namespaces or []), excluded]},
        "objectSelector": {"matchExpressions": [{"key": key, "operator": has} for key, has in labels.items()]},
        "resourceRules": [{**pods, "scope": "Namespaced"}],
    }


def _named(expressions: dict[str, str]) -> list[Manifest]:
    return [{"name": name, "expression": expression} for name, expression in expressions.items()]


def _bound(kind: str, name: str, spec: Manifest, binding: Manifest) -> list[Manifest]:
    """Return a policy and the binding that puts it into force."""
    metadata = {"name": f"{_NAME}-{name}", "labels": {"app.kubernetes.io/name": _NAME}}
    return [
        {"apiVersion": _API_VERSION, "kind": kind, "metadata": metadata, "spec": spec},
        {
            "apiVersion": _API_VERSION,
            "kind": f"{kind}Binding",
            "metadata": metadata,
            "spec": {"policyName": metadata["name"], **binding},
        },
    ]
