"""Security context and Pod Security: the isolation that a builder asks for, as far as its namespace admits it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from buildkit_operator.api import versions
from buildkit_operator.api.builder import BuilderSpec, Isolation, SecurityProfiles
from buildkit_operator.kube.resources import Manifest

ENFORCE_LABEL: Final = "pod-security.kubernetes.io/enforce"
"""On a namespace: its Pod Security level (KEP-2579)."""

ENFORCE_VERSION_LABEL: Final = "pod-security.kubernetes.io/enforce-version"
"""On a namespace: the Kubernetes version whose rules that level means, or latest."""

SUBORDINATE_IDS: Final = "user:1001:64535\n"
"""/etc/subuid and /etc/subgid in a user namespace of 65536 ids, of which the image's own range is no part."""


class Level(IntEnum):
    """Pod Security levels, the stricter the greater (KEP-2579)."""

    PRIVILEGED = 0
    BASELINE = 1
    RESTRICTED = 2

    def __str__(self) -> str:
        """Return the level as namespaces are labelled with it."""
        return self.name.lower()


@dataclass(frozen=True)
class PodSecurity:
    """What a namespace enforces on its pods."""

    level: Level = Level.PRIVILEGED
    minor: int = versions.UNMASKED_PROC.minor
    """The 1.x version of Kubernetes whose rules apply."""

    @classmethod
    def of(cls, labels: Mapping[str, str], server_minor: int) -> PodSecurity:
        """Read it off a namespace's labels; what is no level counts as the strictest, as the API server has it."""
        wanted = labels.get(ENFORCE_LABEL, str(Level.PRIVILEGED))
        level = next((level for level in Level if str(level) == wanted), Level.RESTRICTED)
        version = re.fullmatch(r"v1\.(\d+)", labels.get(ENFORCE_VERSION_LABEL, ""))
        return cls(level, min(int(version[1]), server_minor) if version else server_minor)


@dataclass(frozen=True)
class Confinement:
    """How the daemon's container is set up for an isolation."""

    security_context: Manifest = field(default_factory=dict)
    """Part of the container's."""
    process_sandbox: bool = False
    """Whether build steps have processes of their own and see none of the daemon's."""
    user_namespace: bool = False
    """Whether the pod runs in a user namespace."""


def strictest_level(spec: BuilderSpec) -> Level:
    """Return the strictest Pod Security level that admits pods with the daemon that a builder asks for."""
    if spec.isolation is Isolation.USER_NAMESPACE or spec.security_profiles is SecurityProfiles.NODE_DEFAULT:
        return Level.BASELINE
    return Level.PRIVILEGED


def confine(spec: BuilderSpec, enforced: PodSecurity) -> Confinement:
    """Return the set-up for what a builder asks for, in a namespace that enforces this."""
    if spec.isolation is Isolation.USER_NAMESPACE:
        # runc mounts a /proc for each sandboxed step, which the kernel forbids where a part of the outer one is masked.
        unmasked = enforced.level is Level.PRIVILEGED or enforced.minor >= versions.UNMASKED_PROC.minor
        return Confinement(
            security_context={"procMount": "Unmasked"} if unmasked else {},
            process_sandbox=unmasked,
            user_namespace=True,
        )
    if spec.security_profiles is SecurityProfiles.NODE_DEFAULT:
        return Confinement()
    unconfined = {"type": "Unconfined"}
    return Confinement(security_context={"seccompProfile": unconfined, "appArmorProfile": unconfined})
