"""RBAC of the webhook: builders, its own configuration, and the Secret with its certificate."""

from __future__ import annotations

from typing import Final

from buildkit_operator.api import names
from buildkit_operator.kube.rbac import allow
from buildkit_operator.kube.resources import SECRET
from buildkit_operator.webhook.cert_rotation import CONFIGURATION

RULES: Final = (allow(names.BUILDER, "list", "watch"),)
"""In the whole cluster, or in each namespace that is watched."""

CLUSTER_RULES: Final = (
    allow(
        CONFIGURATION,
        "get",
        "watch",
        "patch",
        names=(names.WEBHOOK,),
        reason="Its own configuration alone, to keep there which CA the API server trusts. No Role can give this.",
    ),
)
"""In the whole cluster in any case."""

OWN_NAMESPACE_RULES: Final = (
    allow(
        SECRET,
        "get",
        "watch",
        "create",
        "patch",
        names=(names.WEBHOOK,),
        reason="The Secret with its certificate and its CA, and no other one.",
    ),
)
