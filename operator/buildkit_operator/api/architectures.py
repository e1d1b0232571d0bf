"""Architectures of nodes that BuildKit's and HAProxy's images are for, by the names that Kubernetes has for them."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Architecture(StrEnum):
    """An architecture, as a node's label kubernetes.io/arch has it, and a platform of images such as linux/arm64."""

    AMD64 = "amd64"
    ARM64 = "arm64"
    PPC64LE = "ppc64le"
    S390X = "s390x"

    @property
    def platform(self) -> str:
        """The platform of its images."""
        return f"linux/{self.value}"


NODE_LABEL: Final = "kubernetes.io/arch"
"""By which a node tells its architecture; the kubelet sets it."""
