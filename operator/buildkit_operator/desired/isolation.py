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

DAEMON_ID: Final = 1000
"""User and group of the daemon in BuildKit's rootless images."""

_USER: Final = "user"
"""Name of the daemon's user in BuildKit's rootless images, whose uid and gid are a build's 0."""

_FIRST_ON_NODE: Final = 100_000
"""The node's id behind a build's 1, as in BuildKit's rootless images."""

HIGHEST_IN_POD: Final = 65_534
"""The last id of a build in a pod's user namespace, which has 65536: each but the daemon's own is a build's."""


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
    subordinate_ids: str | None = None
    """What stands in /etc/subuid and /etc/subgid; None: what the image has there, ids up to 65536."""


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
            subordinate_ids=_ids_of_pod(spec.highest_id or HIGHEST_IN_POD),
        )
    unconfined = {"type": "Unconfined"}
    profiles = {"seccompProfile": unconfined, "appArmorProfile": unconfined}
    return Confinement(
        security_context={} if spec.security_profiles is SecurityProfiles.NODE_DEFAULT else profiles,
        subordinate_ids=None if spec.highest_id is None else f"{_USER}:{_FIRST_ON_NODE}:{spec.highest_id}\n",
    )


def _ids_of_pod(highest: int) -> str:
    """Return the ranges behind a build's 1 to its highest id: all of the pod's that are not the daemon's.

    rootlesskit takes them one after the other (newugidmapArgsFromSubIDRanges in pkg/parent/parent.go).
    """
    return f"{_USER}:1:{DAEMON_ID - 1}\n{_USER}:{DAEMON_ID + 1}:{highest - DAEMON_ID + 1}\n"
