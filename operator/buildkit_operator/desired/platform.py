"""What is the same for all builders of one operator, and what its administrator decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DEFAULT_IMAGE: Final = "docker.io/moby/buildkit:v0.34.2-rootless"
"""The release that the operator is tested with."""


@dataclass(frozen=True)
class Platform:
    """What is the same for all builders of this operator."""

    default_image: str = DEFAULT_IMAGE
    cluster_domain: str = "cluster.local"
    namespace: str = "buildkit-operator"
    """Where the operator runs."""
