"""ValidatingAdmissionPolicy that keeps the labels of daemons' pods for daemons, which RBAC cannot say.

A Service knows its endpoints by labels alone, and the connectors' DNS name is one of a Service: whoever could give them
to a pod of theirs would be sent builds. Kubernetes' own controllers make pods as a template says, so that whoever
writes the template is asked, and the controllers are not.
"""

from __future__ import annotations

from typing import Final

from buildkit_operator.admission import bounding, cel
from buildkit_operator.api import generated, names
from buildkit_operator.kube.rbac import PolicyRule, allow
from buildkit_operator.kube.resources import Manifest

NAME: Final = f"{names.OPERATOR}-daemons"

RIGHT: Final[PolicyRule] = allow(
    names.BUILDER,
    "create",
    subresource="daemons",
    reason="To give pods the labels of a builder's daemons: the policy buildkit-operator-daemons asks for it.",
)
"""What the policy asks of who writes such a template. No API has this subresource, so that it gives nothing else."""

REFUSAL: Final = (
    f"Pods with the labels {names.NAME_LABEL}={names.DAEMON} and {names.OWNER_LABEL} get the builds of that builder, "
    "so the operator alone may make such pods. Take one of the two labels off this pod or pod template."
)

_CONTROLLERS: Final = (
    "system:kube-controller-manager",
    *(
        f"system:serviceaccount:kube-system:{name}-controller"
        for name in ("cronjob", "daemon-set", "deployment", "job", "replicaset", "replication", "statefulset")
    ),
)
"""Who makes pods, and objects that make pods, as a template says: with one identity, or with one for each."""

_KINDS: Final = (
    ("", "v1", ["pods", "replicationcontrollers"]),
    ("apps", "v1", ["daemonsets", "deployments", "replicasets", "statefulsets"]),
    ("batch", "v1", ["cronjobs", "jobs"]),
)


def manifests() -> list[Manifest]:
    """Return the policy and its binding: the same for every installation, as it asks for a right and not for a name."""
    rules = [
        {
            "apiGroups": [group],
            "apiVersions": [version],
            "resources": plurals,
            "operations": ["CREATE", "UPDATE"],
            "scope": "Namespaced",
        }
        for group, version, plurals in _KINDS
    ]
    now, before = _builder_of("object"), _builder_of("oldObject")
    spec = {
        "matchConstraints": {"resourceRules": rules},
        "matchConditions": [
            {"name": "daemons", "expression": f"{now} != ''"},
            {"name": "new", "expression": f"oldObject == null || {now} != {before}"},
        ],
        "validations": [{"expression": _is_allowed(), "message": REFUSAL, "reason": "Forbidden"}],
    }
    return bounding.manifests(NAME, spec)


def render() -> str:
    """Return them as YAML, the same bytes each time."""
    return generated.render("operator/buildkit_operator/admission", manifests())


def _builder_of(root: str) -> str:
    """Return the expression of the builder whose Service selects the pods of an object; empty if none does.

    Kinds differ in where their pods' labels are, and a policy is type-checked against each kind: `dyn` defers that.
    """
    return cel.expression(
        """
        [(request.resource.resource == 'pods' ? dyn($root).?metadata.?labels
          : request.resource.resource == 'cronjobs' ? dyn($root).?spec.?jobTemplate.?spec.?template.?metadata.?labels
          : dyn($root).?spec.?template.?metadata.?labels).orValue({})].map(labels,
            labels[?'$NAME_LABEL'].orValue('') == '$DAEMON' ? labels[?'$OWNER_LABEL'].orValue('') : '')[0]
        """,
        root=root,
    )


def _is_allowed() -> str:
    (plural,) = RIGHT.resources
    resource, _, subresource = plural.partition("/")
    return cel.expression(
        """
        request.userInfo.username in $controllers
        || authorizer.group('$GROUP').resource('$resource').subresource('$subresource').namespace(request.namespace)
           .check('create').allowed()
        """,
        controllers=cel.strings(_CONTROLLERS),
        resource=resource,
        subresource=subresource,
    )
