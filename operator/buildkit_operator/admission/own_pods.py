"""ValidatingAdmissionPolicy that bounds the operator's rights over pods to what it needs, which RBAC cannot say.

The operator asks by a dry run whether a runner pod would get its builder, and writes on daemons' pods what it costs to
take them away. Whoever gets hold of its token could else run pods by it, of any kind, in every namespace that it
serves, or another image in the pods that are there.
"""

from __future__ import annotations

from typing import Final

from buildkit_operator.admission import bounding, cel
from buildkit_operator.api import generated, names
from buildkit_operator.kube.resources import POD, Manifest

PART: Final = "probe"
"""What the policy's name ends with, after the installation's."""

USER: Final = f"system:serviceaccount:{names.OPERATOR}:{names.OPERATOR}"
"""Who the operator is to the API server, as the manifests install it."""

REFUSAL: Final = (
    "The operator's ServiceAccount may create pods as dry runs alone, to see whether a pod would get its builder; "
    "this one was to be kept."
)

CHANGE_REFUSAL: Final = (
    f"The operator's ServiceAccount may change nothing of a pod but a daemon's annotation "
    f"{names.DELETION_COST_ANNOTATION}."
)


def is_user(user: str) -> str:
    """Return the expression that tells the operator's own requests from all others."""
    return f"request.userInfo.username == {cel.literal(user)}"


def manifests(user: str = USER) -> list[Manifest]:
    """Return the policy and its binding, for an operator that is this user."""
    rule = {
        "apiGroups": [POD.group],
        "apiVersions": [POD.version],
        "resources": [POD.plural],
        "operations": ["CREATE", "UPDATE"],
        "scope": "Namespaced",
    }
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [{"name": "operator", "expression": is_user(user)}],
        "validations": [
            {
                "expression": "request.operation != 'CREATE' || has(request.dryRun) && request.dryRun",
                "message": REFUSAL,
                "reason": "Forbidden",
            },
            {
                "expression": f"request.operation != 'UPDATE' || {_is_a_cost()}",
                "message": CHANGE_REFUSAL,
                "reason": "Forbidden",
            },
        ],
    }
    return bounding.manifests(f"{names.OPERATOR}-{PART}", spec)


def _is_a_cost() -> str:
    """Return the expression of an update that changes a daemon's deletion cost and nothing else."""
    return cel.expression(
        """
        object.metadata.?labels['$NAME_LABEL'].orValue('') == '$DAEMON' && object.spec == oldObject.spec
        && object.metadata.?labels == oldObject.metadata.?labels
        && object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences
        && object.metadata.?finalizers == oldObject.metadata.?finalizers
        && [object, oldObject].map(pod, pod.metadata.?annotations.orValue({}))
           .map(notes, notes.filter(k, k != '$DELETION_COST_ANNOTATION').map(k, [k, notes[k]]))
           .all(notes, notes.all(note, oldObject.metadata.?annotations[?note[0]].orValue('') == note[1]
             && object.metadata.?annotations[?note[0]].orValue('') == note[1]))
        """
    )


def render() -> str:
    """Return them as YAML, the same bytes each time."""
    return generated.render("operator/buildkit_operator/admission", manifests())
