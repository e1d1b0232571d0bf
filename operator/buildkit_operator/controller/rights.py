"""RBAC of the operator: its own resource, the children of builders, and what it looks at beside them."""

from __future__ import annotations

from typing import Final

from buildkit_operator.admission import daemon_labels
from buildkit_operator.api import names
from buildkit_operator.controller.child_kinds import CHILD_KINDS
from buildkit_operator.kube.rbac import allow, merged
from buildkit_operator.kube.resources import EVENT, LEASE, NAMESPACE

RULES: Final = (
    allow(names.BUILDER, "list", "watch"),
    allow(names.BUILDER, "patch", subresource="status"),
    allow(
        names.BUILDER,
        "update",
        subresource="finalizers",
        reason="Where OwnerReferencesPermissionEnforcement is on (OpenShift), blockOwnerDeletion needs this.",
    ),
    *merged(allow(child.resource, *child.verbs, reason=child.why) for child in CHILD_KINDS),
    allow(NAMESPACE, "get", reason="Pod Security levels. In a Role it is the right to read the Role's own namespace."),
    allow(EVENT, "create"),
    daemon_labels.RIGHT,
)
"""In the whole cluster, or in each namespace that is watched."""

PUBLIC_RULES: Final = (
    allow(
        LEASE,
        "get",
        names=(names.OPERATOR,),
        reason="For every ServiceAccount: another installation of the operator sees by it whether this one is there.",
    ),
)
"""In the operator's own namespace, for others."""

OWN_NAMESPACE_RULES: Final = (
    allow(LEASE, "get", "create", "update", reason="The Lease by which one of several replicas is the leader."),
)
