"""spec.daemon, spec.env, spec.resources and spec.cache: the daemon, the same in both modes."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from buildkit_operator.api import names
from buildkit_operator.api.fields import (
    ATOMIC,
    HOST_AND_PORT,
    Address,
    Amount,
    DNSName,
    Mirror,
    Model,
    Name,
    Size,
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

    name: Name
    """Name of the Secret."""


class KeyReference(Model):
    """One key of a Secret or ConfigMap of the builder's own namespace."""

    name: Name
    """Name of the Secret or ConfigMap."""
    key: Annotated[str, Field(min_length=1, max_length=253)]
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


class EnvVar(Model):
    """An environment variable of the daemon."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule("!has(self.value) || !has(self.valueFrom)", "value and valueFrom exclude each other"),
        )
    )

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=253,
            pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$",
            json_schema_extra=rules(
                rule(
                    f"!(self in {list(names.RESERVED_VARIABLES)})",
                    f"{', '.join(names.RESERVED_VARIABLES)} are set by the operator",
                )
            ),
        ),
    ]
    """Name of the variable."""
    value: Annotated[str, Field(max_length=32768)] | None = None
    """Its value."""
    value_from: EnvVarSource | None = None
    """Where its value comes from."""


class Resources(Model):
    """What the daemon's container asks of its node.

    Build steps count towards it: a rootless daemon has no cgroups of its own.
    """

    # No more of them: API servers of old reckon that each is as long as a request can be, and then refuse the CRD.
    requests: Annotated[dict[str, Amount], Field(max_length=12)] | None = None
    """What the scheduler sets aside, by resource name (cpu, memory, ephemeral-storage)."""
    limits: Annotated[dict[str, Amount], Field(max_length=12)] | None = None
    """What the container may not exceed, by resource name."""


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
                "!(self.insecureSkipVerify && has(self.caSecretName))",
                "insecureSkipVerify and caSecretName exclude each other: the certificate is checked or it is not",
            ),
        )
    )

    host: Annotated[str, Field(min_length=1, max_length=253, pattern=HOST_AND_PORT)]
    """Registry host as it stands in image names, with its port if it has one, such as registry.example.com:5000."""
    mirrors: Annotated[list[Mirror], Field(max_length=16)] = Field(default=[], json_schema_extra=ATOMIC)
    """Hosts, with a path if there is one, to pull from instead: tried in this order before the registry itself. Pushes
    never go to a mirror.
    """
    plain_http: Annotated[bool, Field(alias="plainHTTP")] = False
    """Speak HTTP without TLS."""
    insecure_skip_verify: bool = False
    """Speak TLS but accept any certificate."""
    ca_secret_name: Name | None = None
    """Secret with the registry's CA certificates under the key ca.crt (PEM)."""


class DNS(Model):
    """Name resolution inside build steps; the pod's own settings where unset."""

    nameservers: Annotated[list[Address], Field(max_length=3)] = Field(default=[], json_schema_extra=ATOMIC)
    """Addresses of name servers, loopback ones too. Unset: the pod's own, of which BuildKit drops loopback ones, and
    takes public ones if none is left.
    """
    search_domains: Annotated[list[DNSName], Field(max_length=32)] = Field(default=[], json_schema_extra=ATOMIC)
    """Domains that short names are looked up in."""
    options: Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=32)] = Field(
        default=[], json_schema_extra=ATOMIC
    )
    """Resolver options, such as ndots:2."""


class GarbageCollection(Model):
    """When build cache is deleted. Unset amounts leave about 40 % headroom.

    The daemon collects only after a build has ended, so a build needs room beyond maxUsedSpace.
    """

    max_used_space: Size | None = None
    """Cache above this is deleted; unset: 60 % of cache.size, or of the smallest PersistentVolumeClaim's volume."""
    reserved_space: Size | None = None
    """Cache below this is kept whatever its age; unset: 10 % of the same."""
    min_free_space: Size | None = None
    """Free space to keep on the disk that holds the cache; unset: none, as that disk is shared with the whole node."""
    keep_seconds: Annotated[int, Field(ge=60, le=31_536_000)] = 5_184_000
    """Age in seconds after which unused cache is deleted even if there is room."""


class Daemon(Model):
    """The daemon's configuration, from which buildkitd.toml is written."""

    log_level: LogLevel = LogLevel.INFO
    """How much the daemon logs."""
    max_parallelism: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Build steps that may run at once, over all builds; unset: no limit."""
    registries: Annotated[list[Registry], Field(max_length=64)] = Field(default=[], json_schema_extra=list_map("host"))
    """Settings for registry hosts."""
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

    storage_class_name: Name | None = None
    """StorageClass of the PVCs; unset: the cluster's default. Its volumes must be block storage or a local disk, not
    NFS: the cache needs overlay mounts and file locks.
    """
    retention_policy: ClaimRetentionPolicy = ClaimRetentionPolicy()
    """What becomes of PVCs that no daemon uses any more."""


class BuildCache(Model):
    """Where the daemon keeps its build cache."""

    size: Annotated[
        Size,
        Field(
            json_schema_extra=rules(
                rule("isQuantity(self)", "must be a quantity such as 20Gi"),
                rule(
                    "!isQuantity(self) || quantity(self).compareTo(quantity('1Gi')) >= 0",
                    "must be at least 1Gi: a daemon with less cannot hold the layers of one build",
                ),
            )
        ),
    ] = "20Gi"
    """Room for cache and running builds. Without persistentVolumeClaim, a pod that exceeds it is evicted by its
    node; a PVC grows with it where its StorageClass allows volume expansion, and never shrinks.
    """
    persistent_volume_claim: ClaimTemplate | None = None
    """Keep the cache of each daemon on a PersistentVolumeClaim of its own, in mode Shared; unset: it is lost with the
    daemon's pod.
    """
