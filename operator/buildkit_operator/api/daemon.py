"""spec.daemon, spec.env and spec.cache: the daemon, the same in both modes."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field

from buildkit_operator.api import names
from buildkit_operator.api.field_types import (
    NOT_TOO_LARGE,
    VARIABLE,
    Address,
    DataKey,
    Domain,
    Mirror,
    MountPath,
    ObjectName,
    RegistryHost,
    ResolverOption,
    SecretName,
    ShortName,
    Size,
)
from buildkit_operator.api.fields import (
    ATOMIC,
    Model,
    list_map,
    rule,
    rules,
)


class LogLevel(StrEnum):
    """How much the daemon writes to its log."""

    ERROR = "error"
    WARN = "warn"
    INFO = "info"
    DEBUG = "debug"
    TRACE = "trace"


class ClaimRetention(StrEnum):
    """What becomes of a PersistentVolumeClaim that no daemon uses any more."""

    RETAIN = "Retain"
    DELETE = "Delete"


class LocalReference(Model):
    """A Secret of the builder's own namespace."""

    name: ObjectName
    """Name of the Secret."""


class KeyReference(Model):
    """One key of a Secret or ConfigMap of the builder's own namespace."""

    name: ObjectName
    """Name of the Secret or ConfigMap."""
    key: DataKey
    """Key whose value is taken."""
    optional: bool = False
    """Start without the variable when the object or the key is missing."""


class EnvVarSource(Model):
    """Where a variable's value comes from."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.secretKeyRef) != has(self.configMapKeyRef)",
                "exactly one of secretKeyRef and configMapKeyRef must be set",
            )
        )
    )

    secret_key_ref: KeyReference | None = None
    """A key of a Secret."""
    config_map_key_ref: KeyReference | None = None
    """A key of a ConfigMap."""


def _free_variable(name: str) -> str:
    if name in names.RESERVED_VARIABLES or name.startswith(names.RESERVED_VARIABLE_PREFIX):
        raise ValueError(f"{name} is not the user's to set")
    return name


_LOG_LIMIT: Final = "^(-1|[0-9]{1,9})$"

LONGEST_ENV: Final = 16384
"""Characters of the values of all variables together: they are copied into the status, and etcd takes 1.5 MiB."""


class EnvVar(Model):
    """An environment variable of the daemon."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule("!has(self.value) || !has(self.valueFrom)", "value and valueFrom exclude each other"),
            rule(
                f"!(self.name in {[names.STEP_LOG_SIZE, names.STEP_LOG_SPEED]}) || !has(self.value) "
                f"|| self.value.matches('{_LOG_LIMIT}')",
                "must be a number of bytes below 1000000000, or -1 for no limit: buildkitd passes over anything else",
                ".value",
            ),
        )
    )

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=253,
            pattern=VARIABLE,
            json_schema_extra=rules(
                rule(
                    f"!(self in {list(names.RESERVED_VARIABLES)})",
                    f"{', '.join(names.RESERVED_VARIABLES)} are set by the operator",
                ),
                rule(
                    f"!self.startsWith('{names.RESERVED_VARIABLE_PREFIX}')",
                    f"what begins with {names.RESERVED_VARIABLE_PREFIX} are options of buildkitd: use spec.daemon",
                ),
            ),
        ),
        AfterValidator(_free_variable),
    ]
    """Name of the variable."""
    value: Annotated[str, Field(max_length=LONGEST_ENV, pattern=r"^[^\x00]*$")] | None = None
    """Its value."""
    value_from: EnvVarSource | None = None
    """Where its value comes from."""


def _short_in_all(variables: list[EnvVar]) -> list[EnvVar]:
    if sum(len(variable.value or "") for variable in variables) > LONGEST_ENV:
        raise ValueError(_LONG_ENV)
    return variables


_LONG_ENV: Final = f"the values of all variables together may have at most {LONGEST_ENV} characters"

Environment = Annotated[list[EnvVar], Field(max_length=64), AfterValidator(_short_in_all)]
"""Variables of the daemon."""

ENVIRONMENT: Final = list_map("name") | rules(
    rule(f"self.map(v, has(v.value) ? size(v.value) : 0).sum() <= {LONGEST_ENV}", _LONG_ENV)
)
"""What the schema says of them as a whole."""


class Registry(Model):
    """How the daemon talks to one registry host.

    Its mirrors are reached in the same way, unless a mirror's host has an entry of its own.
    """

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!(self.plainHTTP && (self.insecureSkipVerify || has(self.caSecretName)))",
                "plainHTTP excludes insecureSkipVerify and caSecretName: without TLS there is no certificate to check",
            ),
            rule(
                "!(self.plainHTTP && has(self.clientCertificateSecretName))",
                "plainHTTP excludes clientCertificateSecretName: without TLS no certificate is shown to anybody",
            ),
            rule(
                "!(self.insecureSkipVerify && has(self.caSecretName))",
                "insecureSkipVerify and caSecretName exclude each other: the certificate is checked or it is not",
            ),
            rule(
                "self.host != 'docker.io' || !self.plainHTTP || has(self.mirrors) && size(self.mirrors) > 0",
                "plainHTTP of docker.io is for its mirrors, of which there are none: Docker Hub itself has TLS alone",
                ".plainHTTP",
            ),
            rule(
                "!has(self.mirrors) || !(self.host in self.mirrors)",
                "mirrors may not name the host itself, which is asked after them anyway",
                ".mirrors",
            ),
        )
    )

    host: RegistryHost
    """Registry host as it stands in image names, with its port if it has one, such as registry.example.com:5000; for
    Docker Hub docker.io.
    """
    mirrors: Annotated[list[Mirror], Field(max_length=16)] = Field(default=[], json_schema_extra=ATOMIC)
    """Hosts, with a path if there is one, to pull from instead: tried in this order before the registry itself. Pushes
    never go to a mirror.
    """
    plain_http: Annotated[bool, Field(alias="plainHTTP")] = False
    """Speak HTTP without TLS."""
    insecure_skip_verify: bool = False
    """Speak TLS but accept any certificate."""
    ca_secret_name: Annotated[ObjectName, Field(max_length=251)] | None = None
    """Secret with the registry's CA certificates under the key ca.crt (PEM)."""
    client_certificate_secret_name: Annotated[SecretName, Field(max_length=63)] | None = None
    """Secret with the certificate that the daemon shows to a registry which asks its clients for one, and its key:
    tls.crt and tls.key (PEM), as in a Secret of type kubernetes.io/tls.
    """


class CertificateSource(Model):
    """CA certificates (PEM) in a Secret or a ConfigMap of the builder's own namespace."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.secretName) != has(self.configMapName)",
                "exactly one of secretName and configMapName must be set",
            ),
            rule(
                "!has(self.key) || !self.key.endsWith('.key')",
                "a key that ends in .key holds no certificates: name the one with the CA certificates, such as ca.crt",
                ".key",
            ),
        )
    )

    secret_name: SecretName | None = None
    """Name of the Secret."""
    config_map_name: ObjectName | None = None
    """Name of the ConfigMap."""
    # No default of the schema: in a list that is applied as a whole, what the API server adds to an item is another
    # value than what lies in Git, and the next tool that applies it has a conflict.
    key: DataKey | None = None
    """Key with the certificates, as many as there are; unset: ca.crt."""


class DaemonVolume(Model):
    """A volume in the daemon's container, in either mode."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "[has(self.secretName), has(self.configMapName), has(self.claimName)].filter(isSet, isSet).size() == 1",
                "exactly one of secretName, configMapName and claimName must be set: a daemon runs what stands in "
                "Dockerfiles, and gets no hostPath",
            ),
            rule(
                "!self.readOnly || has(self.claimName)",
                "readOnly is for claimName: Secrets and ConfigMaps are always mounted read-only",
                ".readOnly",
            ),
            rule(
                "!self.mountPath.startsWith('/tmp/')",
                "may not be in /tmp, where the daemon's scripts keep their notes: use a directory in /mnt",
                ".mountPath",
            ),
        )
    )

    name: Annotated[ShortName, Field(max_length=40)]
    """Name of the volume; in the pod it is buildkit-volume-<name>."""
    mount_path: MountPath
    """Where the daemon finds it: a directory of its own, such as one in /mnt."""
    secret_name: SecretName | None = None
    """A Secret, each key a file."""
    config_map_name: ObjectName | None = None
    """A ConfigMap, each key a file."""
    claim_name: ObjectName | None = None
    """A PersistentVolumeClaim; where pods are on several nodes, one that they can all mount."""
    read_only: bool = False
    """Mount the PersistentVolumeClaim read-only."""


class DNS(Model):
    """Name resolution inside build steps; the pod's own settings where unset."""

    nameservers: Annotated[list[Address], Field(max_length=3)] = Field(default=[], json_schema_extra=ATOMIC)
    """Addresses of name servers, loopback ones too. Unset: the pod's own, of which BuildKit drops loopback ones, and
    takes public ones if none is left.
    """
    search_domains: Annotated[list[Domain], Field(max_length=32)] = Field(default=[], json_schema_extra=ATOMIC)
    """Domains that short names are looked up in."""
    options: Annotated[list[ResolverOption], Field(max_length=32)] = Field(default=[], json_schema_extra=ATOMIC)
    """Resolver options, such as ndots:2."""


def at_most(less: str, more: str) -> str:
    """Return what holds in CEL of two optional fields with a quantity while the first is not more than the second."""
    both = f"!has({less}) || !has({more}) || !isQuantity({less}) || !isQuantity({more})"
    return f"{both} || quantity({less}).compareTo(quantity({more})) <= 0"


class GarbageCollection(Model):
    """When build cache is deleted. Unset amounts leave about 40 % headroom.

    The daemon collects only after a build has ended, so a build needs room beyond maxUsedSpace.
    """

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                at_most("self.reservedSpace", "self.maxUsedSpace"),
                "reservedSpace may not be more than maxUsedSpace, which would then limit nothing",
                ".reservedSpace",
            )
        )
    )

    max_used_space: Size | None = None
    """Cache above this is deleted, what was not used for longest first; unset: 60 % of cache.size, or of the smallest
    PersistentVolumeClaim's volume.
    """
    reserved_space: Size | None = None
    """Cache below this is kept, whatever its age and the other amounts; unset: 10 % of the same."""
    min_free_space: Size | None = None
    """Free space to keep on the disk that holds the cache; unset: 20 % of a PersistentVolumeClaim's volume, less where
    maxUsedSpace leaves less, and without one 12 % of the node's disk, as its kubelet evicts pods when 10 % are left.
    """
    keep_seconds: Annotated[int, Field(ge=60, le=31_536_000)] = 5_184_000
    """Age in seconds after which unused cache is deleted even if there is room, cache mounts of RUN steps like all
    other. Build contexts and Git checkouts go after 48 hours.
    """


MOST_MIRRORS: Final = 256
"""Of all registries together, for the size of a builder in etcd."""

_MANY_MIRRORS: Final = f"all registries together may have at most {MOST_MIRRORS} mirrors"


def _few_mirrors(registries: list[Registry]) -> list[Registry]:
    if sum(len(registry.mirrors) for registry in registries) > MOST_MIRRORS:
        raise ValueError(_MANY_MIRRORS)
    return registries


class Daemon(Model):
    """The daemon's configuration, from which buildkitd.toml is written."""

    log_level: LogLevel = LogLevel.INFO
    """How much the daemon logs."""
    max_parallelism: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Build steps that may run at once, over all builds; unset: no limit."""
    registries: Annotated[list[Registry], Field(max_length=64), AfterValidator(_few_mirrors)] = Field(
        default=[],
        json_schema_extra=list_map("host")
        | rules(rule(f"self.map(r, has(r.mirrors) ? size(r.mirrors) : 0).sum() <= {MOST_MIRRORS}", _MANY_MIRRORS)),
    )
    """Settings for registry hosts."""
    certificate_authorities: Annotated[list[CertificateSource], Field(max_length=8)] = Field(
        default=[], json_schema_extra=ATOMIC
    )
    """CA certificates that the daemon trusts beside the public ones for all that it fetches and pushes: images,
    `ADD https://`, Git contexts, remote cache. Build steps have those of their own images. What changes in a Secret or
    ConfigMap counts for daemons that are started later.
    """
    volumes: Annotated[list[DaemonVolume], Field(max_length=8)] = Field(
        default=[],
        json_schema_extra=list_map("name")
        | rules(
            rule(
                "self.all(v, self.exists_one(w, w.mountPath == v.mountPath))",
                "no two volumes may have the same mountPath",
            )
        ),
    )
    """Further volumes of the daemon's container, for files that spec.env or toml names, such as an AWS profile for a
    remote cache. Anyone who can build may be able to read them.
    """
    dns: DNS | None = None
    """Name resolution inside build steps."""
    garbage_collection: GarbageCollection = GarbageCollection()
    """When build cache is deleted."""
    toml: Annotated[str, Field(max_length=65536)] | None = None
    """Raw buildkitd.toml, merged last over what the other fields produce. A key unknown to buildkitd is an error."""


class ClaimRetentionPolicy(Model):
    """What becomes of the PersistentVolumeClaims, as with a StatefulSet (KEP-1847)."""

    when_deleted: ClaimRetention = ClaimRetention.RETAIN
    """When the builder is deleted. A builder of the same name finds PVCs that were retained, with their
    cache.
    """
    when_scaled: ClaimRetention = ClaimRetention.RETAIN
    """When the builder is scaled down. A PVC that was retained serves the same replica again."""


class ClaimTemplate(Model):
    """The PersistentVolumeClaim of each daemon: its cache outlives its pod."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.storageClassName) == has(oldSelf.storageClassName) && (!has(self.storageClassName) || "
                "self.storageClassName == oldSelf.storageClassName)",
                "storageClassName cannot be changed, as PVCs keep their class: create another builder, or remove "
                "persistentVolumeClaim and the PVCs first",
            )
        )
    )

    storage_class_name: ObjectName | None = None
    """StorageClass of the PVCs; unset: the cluster's default. Its volumes must be block storage or a local disk, not
    NFS: the cache needs overlay mounts and file locks.
    """
    retention_policy: ClaimRetentionPolicy = ClaimRetentionPolicy()
    """What becomes of PVCs that no daemon uses any more."""


class DataSource(Model):
    """What a volume is filled with when it is made; it must be in the runner pods' namespace."""

    kind: Literal["PersistentVolumeClaim", "VolumeSnapshot"]
    """PersistentVolumeClaim, of the same StorageClass, or VolumeSnapshot."""
    name: ObjectName
    """Its name."""


class EphemeralVolume(Model):
    """A volume that is made with a runner pod and deleted with it: a generic ephemeral volume (KEP-1698)."""

    storage_class_name: ObjectName | None = None
    """StorageClass of the volumes; unset: the cluster's default. They must be block storage or a local disk, not NFS:
    the cache needs overlay mounts and file locks.
    """
    data_source: DataSource | None = None
    """Begin with the cache that is on this volume or snapshot, such as a PVC of a builder of mode Shared with the same
    isolation and highestID; unset: with an empty one.
    """


class BuildCache(Model):
    """Where the daemon keeps its build cache."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.medium) || !has(self.persistentVolumeClaim) && !has(self.ephemeralVolume)",
                "medium is where the cache is without persistentVolumeClaim and ephemeralVolume: remove it, or them",
                ".medium",
            ),
        )
    )

    size: Annotated[
        Size,
        Field(
            json_schema_extra=rules(
                rule("isQuantity(self)", "must be a quantity such as 20Gi"),
                NOT_TOO_LARGE,
                rule(
                    "!isQuantity(self) || quantity(self).compareTo(quantity('1Gi')) >= 0",
                    "must be at least 1Gi: a daemon with less cannot hold the layers of one build",
                ),
            )
        ),
    ] = "20Gi"
    """Room for cache and running builds. On the node's disk, a pod that exceeds it is evicted by its node; the PVC of
    persistentVolumeClaim grows with it where its StorageClass allows volume expansion, and never shrinks.
    """
    medium: Literal["Memory"] | None = None
    """Memory: keep the cache in the node's memory (tmpfs), where it counts towards resources.limits.memory; for Linux
    6.6 or newer, whose tmpfs a rootless daemon can mount layers on. Unset: on the node's disk.
    """
    persistent_volume_claim: ClaimTemplate | None = None
    """Keep the cache of each daemon on a PersistentVolumeClaim of its own, in mode Shared; unset: it is lost with the
    daemon's pod.
    """
    ephemeral_volume: EphemeralVolume | None = None
    """Keep the cache of each sidecar on a volume of its own, of cache.size, in mode Sidecar; unset: on the node's disk.
    """

    @property
    def has_own_volume(self) -> bool:
        """Whether the cache's file system has cache.size and is the daemon's alone; else it is the node's disk."""
        return bool(self.persistent_volume_claim or self.ephemeral_volume or self.medium)
