"""RBAC of the metrics exporter: builders, their daemons' pods, and the Secrets to connect to these."""

from __future__ import annotations

from typing import Final

from buildkit_operator.api import names
from buildkit_operator.kube.rbac import allow
from buildkit_operator.kube.resources import POD, SECRET

RULES: Final = (
    allow(names.BUILDER, "list", "watch"),
    allow(
        POD,
        "list",
        "watch",
        reason="To know where the daemons are; of all pods it asks for theirs alone.",
    ),
    allow(
        SECRET,
        "get",
        reason='The builders\' connection Secrets, by name. RBAC cannot say "those that end with -connection"; in a '
        "Role of each namespace that has builders, their names can stand here as resourceNames.",
    ),
)
"""In the whole cluster, or in each namespace that is watched."""
