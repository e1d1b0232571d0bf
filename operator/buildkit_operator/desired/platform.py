"""Operator-wide settings: what is the same for all builders of one operator, and what its administrator decides."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from buildkit_operator.api.container_resources import Resources


def _locked(repository: str) -> str:
    """Return the image of a repository that images.lock has, by tag and, once `make pin` has asked for it, digest."""
    lines = files(__package__).joinpath("images.lock").read_text().split()
    return next(image for image in lines if image.partition("@")[0].rpartition(":")[0] == repository)


DEFAULT_IMAGE: Final = _locked("docker.io/moby/buildkit")
"""The release that the operator is tested with."""


CONNECTOR_IMAGE: Final = _locked("docker.io/library/haproxy")
"""The HAProxy that the operator is tested with; `hash-key` needs 3.0."""


NO_RESOURCES: Final = Resources()

CONNECTOR_RESOURCES: Final = Resources(requests={"cpu": "10m", "memory": "32Mi"}, limits={"memory": "128Mi"})
"""Measured: a master of 17 MiB and a worker of 9; on a reload, a worker with running builds stays beside the next."""


@dataclass(frozen=True)
class Platform:
    """What is the same for all builders of this operator."""

    default_image: str = DEFAULT_IMAGE
    cluster_domain: str = "cluster.local"
    connector_image: str = CONNECTOR_IMAGE
    daemon_resources: Resources = NO_RESOURCES
    """Of daemons whose builder says nothing of them."""
    connector_resources: Resources = CONNECTOR_RESOURCES
    """Of connectors whose builder says nothing of them."""
