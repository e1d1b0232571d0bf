"""The cluster that offline rendering assumes: what the operator would read or is set up with, from the options."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field

from buildkit_operator.api import versions
from buildkit_operator.desired.isolation import ENFORCE_LABEL, PodSecurity
from buildkit_operator.desired.platform import Platform


@dataclass(frozen=True)
class AssumedCluster:
    """A cluster whose namespaces all have the same labels."""

    platform: Platform = field(default_factory=Platform)
    labels: Mapping[str, str] = field(default_factory=dict)
    """The namespace's."""
    minor: int = versions.UNMASKED_PROC.minor
    """The 1.x version of Kubernetes."""

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> AssumedCluster:
        """Read what file_options.py describes; what is not given is as the operator has it by default."""
        settings = {
            "default_image": arguments.buildkit_image,
            "cluster_domain": arguments.cluster_domain,
            "connector_image": arguments.connector_image,
        }
        level = {ENFORCE_LABEL: arguments.pod_security} if arguments.pod_security else {}
        minor = versions.UNMASKED_PROC.minor if arguments.minor is None else arguments.minor
        platform = Platform(**{name: value for name, value in settings.items() if value})
        return cls(platform, {**dict(arguments.labels), **level}, minor)

    @property
    def enforced(self) -> PodSecurity:
        """What the namespace enforces on its pods."""
        return PodSecurity.of(self.labels, self.minor)
