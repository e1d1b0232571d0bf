"""Operator-wide settings: what is the same for all builders of one operator, and what its administrator decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from buildkit_operator.api import names

DEFAULT_IMAGE: Final = "docker.io/moby/buildkit:v0.34.2-rootless"
"""The release that the operator is tested with."""


CONNECTOR_IMAGE: Final = "docker.io/library/haproxy:3.0.11"
"""The HAProxy that the operator is tested with; `hash-key` needs 3.0."""


@dataclass(frozen=True)
class Platform:
    """What is the same for all builders of this operator."""

    default_image: str = DEFAULT_IMAGE
    cluster_domain: str = "cluster.local"
    namespace: str = names.OPERATOR
    """Where the operator runs."""
    connector_image: str = CONNECTOR_IMAGE
