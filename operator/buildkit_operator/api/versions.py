"""Supported versions and feature gates: the oldest Kubernetes, and from which version on a cluster can do what.

Messages, checks and the command line take them from here. The chart, the manifests and the documentation are compared
with them by tests/unit/test_versions.py.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Version(NamedTuple):
    """The first two numbers of a version, which is what features depend on."""

    major: int
    minor: int

    def __str__(self) -> str:
        """Return it as people write it, such as 1.31."""
        return f"{self.major}.{self.minor}"


OLDEST_KUBERNETES: Final = Version(1, 31)
"""The oldest that takes our CRD: its rules use isIP and isCIDR, which CRDs may from this version on."""

POLICIES: Final = Version(1, 36)
"""The first Kubernetes with MutatingAdmissionPolicy v1 (KEP-3962): its API server injects without a webhook."""

USER_NAMESPACES: Final = Version(1, 33)
"""The first kubelet that runs pods in user namespaces without a feature gate (KEP-127)."""

UNMASKED_PROC: Final = Version(1, 35)
"""By the rules of this Kubernetes, Pod Security level baseline admits an unmasked /proc in a user namespace (KEP-4265).
"""

CONTAINERD: Final = Version(2, 0)
"""The first containerd that runs pods in user namespaces (KEP-127)."""

CRI_O: Final = Version(1, 25)
"""The first CRI-O that runs pods in user namespaces (KEP-127)."""

LINUX: Final = Version(6, 3)
"""The first Linux that maps the owners of tmpfs, which a pod's Secrets and tokens are on (KEP-127)."""
