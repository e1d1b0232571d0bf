"""The BuildKitBuilder custom resource: its spec, with every default, bound and CEL rule.

The CRD is generated from these models, so a docstring here is what `kubectl explain` prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum, auto
from typing import Annotated, Any, Final, Self

from pydantic import ConfigDict, Field, ValidationError

from buildkit_operator.api.container_resources import Resources
from buildkit_operator.api.daemon import ENVIRONMENT, BuildCache, Daemon, Environment, LocalReference, at_most
from buildkit_operator.api.field_types import IMAGE
from buildkit_operator.api.fields import (
    INT64,
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


HIGHEST_ID: Final = 4_294_000_000
"""The most that highestID can be: the node's ids, which Linux has 2^32 - 1 of, begin at 100000 for builds."""


_KEEPS_CLAIMS: Final = " && ".join(
    f"has({which}.cache) && has({which}.cache.persistentVolumeClaim)" for which in ("oldSelf", "self")
)
"""In CEL: whether daemons go on with the caches that are on their claims."""


_HAS_OWN_VOLUME: Final = (
    "(has(self.cache.persistentVolumeClaim) || has(self.cache.ephemeralVolume) || has(self.cache.medium))"
)
"""In CEL: BuildCache.has_own_volume."""


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
                "self.mode == 'Sidecar' || !has(self.cache) || !has(self.cache.ephemeralVolume)",
                "cache.ephemeralVolume is only for mode Sidecar: a shared daemon keeps its cache on a "
                "persistentVolumeClaim",
                ".cache.ephemeralVolume",
            ),
            rule(
                "!has(self.cache.medium) || has(self.resources) && has(self.resources.limits) "
                "&& 'memory' in self.resources.limits && (!isQuantity(self.cache.size) "
                "|| !isQuantity(string(self.resources.limits['memory'])) "
                "|| quantity(string(self.resources.limits['memory'])).compareTo(quantity(self.cache.size)) > 0)",
                "cache.medium Memory needs resources.limits.memory of more than cache.size: the cache is part of what "
                "the daemon may use",
                ".cache.medium",
            ),
            rule(
                "self.mode == 'Shared' || !has(self.imagePullSecrets)",
                "imagePullSecrets is only for mode Shared: a sidecar's image is pulled with the runner pod's own",
                ".imagePullSecrets",
            ),
            rule(
                "self.mode == 'Shared' || !has(self.injection) || !has(self.injection.connector)",
                "injection.connector is only for mode Shared: what a sidecar may use of its node is said in resources",
                ".injection.connector",
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
                at_most("self.daemon.garbageCollection.maxUsedSpace", "self.cache.size"),
                "daemon.garbageCollection.maxUsedSpace may not be more than cache.size: the cache would be full before "
                "anything of it is deleted",
                ".daemon.garbageCollection.maxUsedSpace",
            ),
            rule(
                at_most("self.daemon.garbageCollection.reservedSpace", "self.cache.size"),
                "daemon.garbageCollection.reservedSpace may not be more than cache.size: nothing would ever be deleted",
                ".daemon.garbageCollection.reservedSpace",
            ),
            rule(
                f"!{_HAS_OWN_VOLUME} || " + at_most("self.daemon.garbageCollection.minFreeSpace", "self.cache.size"),
                "daemon.garbageCollection.minFreeSpace may not be more than cache.size where the cache is not on the "
                "node's disk: its volume never has so much free, and the cache would be deleted after each build",
                ".daemon.garbageCollection.minFreeSpace",
            ),
            rule(
                f"{_HAS_OWN_VOLUME} || !has(self.resources) || !has(self.resources.limits) "
                "|| !('ephemeral-storage' in self.resources.limits) || !isQuantity(self.cache.size) "
                "|| !isQuantity(string(self.resources.limits['ephemeral-storage'])) "
                "|| quantity(string(self.resources.limits['ephemeral-storage'])).compareTo(quantity(self.cache.size)) "
                ">= 0",
                "resources.limits.ephemeral-storage may not be less than cache.size where the cache is on the node's "
                "disk: it counts towards that, and the pod would be evicted before its cache is full",
                ".resources.limits",
            ),
            rule(
                "self.isolation == 'Rootless' || !has(self.securityProfiles)",
                "securityProfiles is only for isolation Rootless: UserNamespace always leaves them to the node",
                ".securityProfiles",
            ),
            # The owners of a cache's files are ids of the pod, in which other maps see other ids of a build.
            rule(
                f"self.isolation == oldSelf.isolation || !({_KEEPS_CLAIMS})",
                "isolation cannot be changed beside cache.persistentVolumeClaim, as the files of a cache belong to the "
                "ids of its isolation: create another builder, or remove persistentVolumeClaim and the PVCs first",
                ".isolation",
            ),
            rule(
                "!has(oldSelf.highestID) || (has(self.highestID) && self.highestID >= oldSelf.highestID) || "
                f"!({_KEEPS_CLAIMS})",
                "highestID can only be raised beside cache.persistentVolumeClaim, as the cache may have files with "
                "such ids: create another builder, or remove persistentVolumeClaim and the PVCs first",
                ".highestID",
            ),
        )
    )

    mode: Mode
    """Shared: one daemon behind a Service for many jobs. Sidecar: a daemon of its own in every job's pod."""
    suspend: bool = False
    """Leave everything as it is: the operator changes nothing of this builder while this is true, but goes on renewing
    the certificates that clients connect with.
    """
    isolation: Isolation = Isolation.ROOTLESS
    """Rootless: the daemon runs as uid 1000 without privileges; with its usual security profiles its namespace must
    allow Pod Security level privileged. UserNamespace: the whole pod runs in a user namespace (hostUsers: false), which
    level baseline allows; for Kubernetes 1.33, containerd 2 and Linux 6.3 or newer.
    """
    security_profiles: SecurityProfiles | None = None
    """Seccomp and AppArmor of a Rootless daemon; unset: Unconfined, as BuildKit recommends. NodeDefault leaves them to
    the node, which level baseline allows; builds work where the node imposes none.
    """
    highest_id: Annotated[int, Field(ge=65_536, le=HIGHEST_ID, json_schema_extra=INT64)] | None = Field(
        default=None, alias="highestID"
    )
    """Highest uid and gid that images and build steps can have; unset: 65534. More suits images with files of users of
    a company's directory. With isolation UserNamespace, the kubelet's userNamespaces.idsPerPod must be 2 more at least.
    """
    image: Annotated[str, Field(min_length=1, max_length=512, pattern=IMAGE)] | None = None
    """Image of a rootless BuildKit; unset: the release that the operator was tested with, shown in status.image."""
    image_pull_policy: PullPolicy = PullPolicy.IF_NOT_PRESENT
    """When the image is pulled."""
    image_pull_secrets: Annotated[list[LocalReference], Field(max_length=16)] = Field(
        default=[], json_schema_extra=list_map("name")
    )
    """Secrets for pulling the image in mode Shared; in mode Sidecar the runner pod's own are used."""
    resources: Resources = Resources()
    """What the daemon, with the build steps it runs, may use of its node; unset: what the operator's administrator set
    for all, which is nothing by default. Tools in a step see the node's memory and processors, not these.
    """
    env: Environment = Field(default=[], json_schema_extra=ENVIRONMENT)
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

    def with_replicas(self, replicas: int) -> Self:
        """Return the builder with another number of daemons, which autoscaling decided."""
        shared = self.shared.model_copy(update={"replicas": replicas})
        return self.model_copy(update={"spec": self.spec.model_copy(update={"shared": shared})})

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
            shared = spec.get("shared")
            return Role.CONSUMER if isinstance(shared, Mapping) and "from" in shared else Role.DAEMONS
        case _:
            return None


def unreadable(error: ValidationError) -> TerminalError:
    """Return what is wrong with a resource that is no builder, though the API server has it or would take it."""
    first = error.errors(include_url=False, include_input=False)[0]
    field = ".".join(_shown(str(part)) for part in first["loc"])
    said = _shown(first["msg"].removeprefix("Value error, "), longest=1000)
    return TerminalError(Reason.INVALID_SPEC, f"{field}: {said}.")


def _shown(text: str, longest: int = 100) -> str:
    """Return a text whose author is not known as it can be shown: without what a terminal would act upon."""
    shown = "".join(character if character.isprintable() else "�" for character in text[:longest])
    return shown if len(text) <= longest else f"{shown}…"


def replicas_of(builder: Mapping[str, Any]) -> int | None:
    """Return how many daemons a builder as it is stored should have, None where it has none of its own."""
    spec = builder.get("spec") or {}
    if role_of(spec) is not Role.DAEMONS:
        return None
    shared, status = spec.get("shared") or {}, builder.get("status") or {}
    # One without spec.shared gets no defaults from the API server.
    of_each = shared.get("replicas", _SHARED_BY_DEFAULT.replicas)
    if "autoscaling" in shared:
        of_each = (status.get("autoscaling") or {}).get("desiredReplicas") or 0
    return int(of_each) * (len(shared.get("architectures") or ()) or 1)
