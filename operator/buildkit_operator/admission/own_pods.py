"""ValidatingAdmissionPolicy that bounds the operator's right to create pods to dry runs, which RBAC cannot say.

The operator asks by a dry run whether a runner pod would get its builder. Whoever gets hold of its token could else run
pods by it, of any kind, in every namespace that it serves.
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


def is_user(user: str) -> str:
    """Return the expression that tells the operator's own requests from all others."""
    return f"request.userInfo.username == {cel.literal(user)}"


def manifests(user: str = USER) -> list[Manifest]:
    """Return the policy and its binding, for an operator that is this user."""
    rule = {
        "apiGroups": [POD.group],
        "apiVersions": [POD.version],
        "resources": [POD.plural],
        "operations": ["CREATE"],
        "scope": "Namespaced",
    }
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [{"name": "operator", "expression": is_user(user)}],
        "validations": [
            {
                "expression": "has(request.dryRun) && request.dryRun",
                "message": REFUSAL,
                "reason": "Forbidden",
            }
        ],
    }
    return bounding.manifests(f"{names.OPERATOR}-{PART}", spec)


def render() -> str:
    """Return them as YAML, the same bytes each time."""
    return generated.render("operator/buildkit_operator/admission", manifests())
