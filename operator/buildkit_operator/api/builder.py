"""The BuildKitBuilder custom resource: its spec, with every default, bound and CEL rule.

The CRD is generated from these models, so a docstring here is what `kubectl explain` prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum, auto
from typing import Annotated, Any

from pydantic import ConfigDict, Field, ValidationError

from buildkit_operator.api.daemon import BuildCache, Daemon, EnvVar, LocalReference, Resources
from buildkit_operator.api.fields import (
    Model,
    alone,
    list_map,
    model_rules,
    rule,
)
from buildkit_operator.api.injection import Injection
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.api.shared import Shared


class Mode(StrEnum):
    """How jobs get BuildKit."""

    SHARED = "Shared"
    SIDECAR = "Sidecar"


class Role(Enum):
    """Where the daemons are that a builder's jobs use: all that depends on a builder's kind depends on this."""

    SIDECAR = auto()
    """In the runner pods, each with its own."""
    DAEMONS = auto()
    """Behind the builder's own Service."""
    CONSUMER = auto()
    """With another namespace's builder, its provider."""


class Isolation(StrEnum):
    """What keeps a build apart from its node."""

    ROOTLESS = "Rootless"
    USER_NAMESPACE = "UserNamespace"


class SecurityProfiles(StrEnum):
    """Which seccomp and AppArmor profiles a rootless daemon runs under."""

    UNCONFINED = "Unconfined"
    NODE_DEFAULT = "NodeDefault"


class PullPolicy(StrEnum):
    """When the kubelet pulls an image."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class BuilderSpec(Model):
    """What a builder should be."""

    model_config = ConfigDict(
        json_schema_extra=model_rules(
            rule(
                "self.mode == 'Shared' || !has(self.shared)",
                "shared is only for mode Shared; remove it or set mode to Shared",
                ".shared",
            ),
            rule(
                "self.mode == 'Shared' || !has(self.cache) || !has(self.cache.persistentVolumeClaim)",
                "cache.persistentVolumeClaim is only for mode Shared: a sidecar's cache goes with its pod",
                ".cache.persistentVolumeClaim",
            ),
            rule(
                "self.mode == 'Shared' || !has(self.imagePullSecrets)",
                "imagePullSecrets is only for mode Shared: a sidecar's image is pulled with the runner pod's own",
                ".imagePullSecrets",
            ),
            alone(
                "!has(self.shared) || !has(self.shared.from)",
                # Of shared itself, the rule there speaks.
                {"mode", "suspend", "injection", "shared"},
                "shared.from uses another namespace's builder, which decides everything of the daemon: "
                "only mode, suspend and injection may be set beside it",
                ".shared.from",
            ),
            rule(
                "self.isolation == 'Rootless' || !has(self.securityProfiles)",
                "securityProfiles is only for isolation Rootless: UserNamespace always leaves them to the node",
                ".securityProfiles",
            ),
        )
    )

    mode: Mode
    """Shared: one daemon behind a Service for many jobs. Sidecar: a daemon of its own in every job's pod."""
    suspend: bool = False
    """Leave everything as it is: the operator changes nothing of this builder while this is true."""
    isolation: Isolation = Isolation.ROOTLESS
    """Rootless: the daemon runs as uid 1000 without privileges; with its usual security profiles its namespace must
    allow Pod Security level privileged. UserNamespace: the whole pod runs in a user namespace (hostUsers: false), which
    level baseline allows; for Kubernetes 1.33, containerd 2 and Linux 6.3 or newer.
    """
    security_profiles: SecurityProfiles | None = None
    """Seccomp and AppArmor of a Rootless daemon; unset: Unconfined, as BuildKit recommends. NodeDefault leaves them to
    the node, which level baseline allows; builds work where the node imposes none.
    """
    image: Annotated[str, Field(min_length=1, max_length=512, pattern=r"^\S+$")] | None = None
    """Image of a rootless BuildKit; unset: the release that the operator was tested with, shown in status.image."""
    image_pull_policy: PullPolicy = PullPolicy.IF_NOT_PRESENT
    """When the image is pulled."""
    image_pull_secrets: Annotated[list[LocalReference], Field(max_length=16)] = Field(
        default=[], json_schema_extra=list_map("name")
    )
    """Secrets for pulling the image in mode Shared; in mode Sidecar the runner pod's own are used."""
    resources: Resources = Resources()
    """What the daemon, with the build steps it runs, may use of its node."""
    env: Annotated[list[EnvVar], Field(max_length=64)] = Field(default=[], json_schema_extra=list_map("name"))
    """Environment variables of the daemon, such as HTTPS_PROXY for pulls and pushes; the cluster's own names are then
    added to NO_PROXY, unless that comes from a Secret or ConfigMap.
    """
    daemon: Daemon = Daemon()
    """The daemon's configuration."""
    cache: BuildCache = BuildCache()
    """The build cache."""
    shared: Shared | None = None
    """Settings of mode Shared; unset there means all defaults. An autoscaler needs it set."""
    injection: Injection | None = None
    """What runner pods get; unset: all defaults."""


class Metadata(Model):
    """The part of an object's metadata that a builder's fate depends on."""

    name: str
    """Name of the builder."""
    namespace: str
    """Its namespace."""
    uid: str
    """Its identity over time."""
    generation: int
    """Counts the changes of its spec."""


_SHARED_BY_DEFAULT = Shared()
_INJECTION_BY_DEFAULT = Injection()


class BuildKitBuilder(Model):
    """Gives CI jobs a BuildKit to build and push images with: no Docker-in-Docker, no docker socket, no privileges."""

    metadata: Metadata
    """Who the builder is."""
    spec: BuilderSpec
    """What the builder should be."""

    @property
    def role(self) -> Role:
        """Where the daemons are that its jobs use."""
        match self.spec.mode:
            case Mode.SIDECAR:
                return Role.SIDECAR
            case Mode.SHARED:
                return Role.DAEMONS if self.shared.from_builder is None else Role.CONSUMER

    @property
    def shared(self) -> Shared:
        """The settings of mode Shared, defaults where none are given."""
        return self.spec.shared or _SHARED_BY_DEFAULT

    @property
    def injection(self) -> Injection:
        """What runner pods get, defaults where nothing is said."""
        return self.spec.injection or _INJECTION_BY_DEFAULT


def role_of(spec: Mapping[str, Any]) -> Role | None:
    """Return the role by a spec as it is stored, whatever else it says; None for a mode of another version."""
    match spec.get("mode"):
        case Mode.SIDECAR:
            return Role.SIDECAR
        case Mode.SHARED:
            return Role.CONSUMER if "from" in (spec.get("shared") or {}) else Role.DAEMONS
        case _:
            return None


def unreadable(error: ValidationError) -> TerminalError:
    """Return what is wrong with a resource that is no builder, though the API server has it or would take it."""
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    return TerminalError(Reason.INVALID_SPEC, f"{field}: {first['msg'].removeprefix('Value error, ')}.")
