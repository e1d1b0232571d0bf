"""The BuildKitBuilder resource: what users may ask for, with every default, bound and rule.

The CRD is generated from these models, so a docstring here is what `kubectl explain` prints.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from buildkit_operator.api import names
from buildkit_operator.api.fields import (
    ATOMIC,
    HOST_AND_PORT,
    SET,
    Amount,
    Annotations,
    DNSName,
    Labels,
    LabelValue,
    Model,
    Name,
    Size,
    list_map,
    rule,
    rules,
)


class Mode(StrEnum):
    """How jobs get BuildKit."""

    SHARED = "Shared"
    SIDECAR = "Sidecar"


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


class LogLevel(StrEnum):
    """How much the daemon writes to its log."""

    ERROR = "error"
    WARN = "warn"
    INFO = "info"
    DEBUG = "debug"
    TRACE = "trace"


class TLSMode(StrEnum):
    """Where the daemon's certificates come from."""

    SELF_SIGNED = "SelfSigned"
    DISABLED = "Disabled"


class ServiceType(StrEnum):
    """How a shared builder can be reached."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


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
                    "!(self in ['BUILDKIT_HOST', 'BUILDX_CONTAINERS', 'HOME', 'USER', 'XDG_RUNTIME_DIR', 'TMPDIR'])",
                    "BUILDKIT_HOST, BUILDX_CONTAINERS, HOME, USER, XDG_RUNTIME_DIR, TMPDIR are set by the operator",
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

    requests: Annotated[dict[str, Amount], Field(max_length=16)] | None = None
    """What the scheduler sets aside, by resource name (cpu, memory, ephemeral-storage)."""
    limits: Annotated[dict[str, Amount], Field(max_length=16)] | None = None
    """What the container may not exceed, by resource name."""


class Registry(Model):
    """How the daemon talks to one registry host. A mirror's host needs an entry of its own for its own settings."""

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
    mirrors: Annotated[list[Annotated[str, Field(min_length=1, max_length=253)]], Field(max_length=16)] = Field(
        default=[], json_schema_extra=ATOMIC
    )
    """Hosts to pull from instead, tried in this order before the registry itself. Pushes never go to a mirror."""
    plain_http: Annotated[bool, Field(alias="plainHTTP")] = False
    """Speak HTTP without TLS."""
    insecure_skip_verify: bool = False
    """Speak TLS but accept any certificate."""
    ca_secret_name: Name | None = None
    """Secret with the registry's certificate authorities under the key ca.crt (PEM)."""


class DNS(Model):
    """Name resolution inside build steps; the pod's own settings where unset."""

    nameservers: Annotated[list[Annotated[str, Field(max_length=45)]], Field(max_length=3)] = Field(
        default=[], json_schema_extra=ATOMIC
    )
    """Addresses of name servers. BuildKit drops loopback addresses, so a node-local resolver on 127.0.0.0/8 is none."""
    search_domains: Annotated[list[DNSName], Field(max_length=32)] = Field(default=[], json_schema_extra=ATOMIC)
    """Domains that short names are looked up in."""
    options: Annotated[list[Annotated[str, Field(max_length=253)]], Field(max_length=32)] = Field(
        default=[], json_schema_extra=ATOMIC
    )
    """Resolver options, such as ndots:2."""


class GarbageCollection(Model):
    """When build cache is deleted. Unset amounts follow from cache.size with about 40 % headroom.

    The daemon collects only after a build has ended, so a build needs room beyond maxUsedSpace.
    """

    max_used_space: Size | None = None
    """Cache above this is deleted; unset: 60 % of cache.size."""
    reserved_space: Size | None = None
    """Cache below this is kept whatever its age; unset: 10 % of cache.size."""
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


class Cache(Model):
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
    """Room for cache and running builds. A pod that exceeds it is evicted by its node."""


class TLS(Model):
    """How a shared daemon proves itself and whom it lets in."""

    mode: TLSMode = TLSMode.SELF_SIGNED
    """SelfSigned: mutual TLS by a certificate authority of this builder's own. Disabled: anyone who can reach the port
    can build, and build steps can drive the daemon.
    """
    dns_names: Annotated[list[DNSName], Field(max_length=32)] = Field(default=[], json_schema_extra=SET)
    """Further names that clients use, such as a load balancer's; the Service's own are always included."""


class Service(Model):
    """The Service in front of a shared builder."""

    type: ServiceType = ServiceType.CLUSTER_IP
    """How the Service is published."""
    annotations: Annotations = Field(default={})
    """Annotations of the Service, such as a cloud load balancer's settings. Put no HTTP/2 proxy in front: it splits a
    build's session.
    """


class Toleration(Model):
    """A taint that the builder's pods put up with."""

    key: Annotated[str, Field(max_length=316)] | None = None
    """Taint key; unset with operator Exists matches all."""
    operator: Literal["Exists", "Equal"] | None = None
    """How key and value are compared; unset means Equal."""
    value: LabelValue | None = None
    """Taint value."""
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """Taint effect; unset matches all."""
    toleration_seconds: Annotated[int, Field(ge=0, le=2_147_483_647)] | None = None
    """Seconds that a NoExecute taint is tolerated."""


class TopologySpreadConstraint(Model):
    """How the builder's pods spread over zones or nodes; the selector is always the builder's own pods."""

    max_skew: Annotated[int, Field(ge=1, le=1000)] = 1
    """Largest difference in number of pods between two domains."""
    topology_key: Annotated[str, Field(min_length=1, max_length=316)]
    """Node label whose values are the domains, such as topology.kubernetes.io/zone."""
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = "ScheduleAnyway"
    """What happens when the constraint cannot be met."""


RESERVED_KEYS = " || ".join(f"k.startsWith('{prefix}')" for prefix in names.RESERVED_PREFIXES)


def _free_keys(what: str) -> dict[str, Any]:
    prefixes = ", ".join(names.RESERVED_PREFIXES)
    return rules(rule(f"!self.exists(k, {RESERVED_KEYS})", f"{what} may not begin with {prefixes}"))


class PodOverlay(Model):
    """What is added to the builder's pods, for scheduling and for other tools."""

    labels: Annotated[Labels, Field(json_schema_extra=_free_keys("label keys"))] = Field(default={})
    """Further labels."""
    annotations: Annotated[Annotations, Field(json_schema_extra=_free_keys("annotation keys"))] = Field(default={})
    """Further annotations."""
    node_selector: Labels = Field(default={})
    """Labels that a node must have."""
    tolerations: Annotated[list[Toleration], Field(max_length=32)] = Field(default=[], json_schema_extra=ATOMIC)
    """Taints that the pods put up with."""
    affinity: dict[str, Any] | None = Field(
        default=None, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}
    )
    """Affinity rules, as in a pod's spec.affinity."""
    topology_spread_constraints: Annotated[list[TopologySpreadConstraint], Field(max_length=8)] = Field(
        default=[], json_schema_extra=list_map("topologyKey")
    )
    """How the pods spread over zones or nodes."""
    priority_class_name: Name | None = None
    """PriorityClass of the pods."""
    service_account_name: Name | None = None
    """ServiceAccount of the pods; unset: one of the builder's own. No token is mounted either way."""


class Shared(Model):
    """A daemon behind a Service, for many jobs."""

    replicas: Annotated[int, Field(ge=0, le=100)] = 1
    """Number of daemons, each with a cache of its own."""
    port: Annotated[int, Field(ge=1024, le=65535)] = 1234
    """TCP port of daemon and Service; not below 1024, as a rootless daemon cannot listen there."""
    tls: TLS = TLS()
    """Certificates of daemon and clients."""
    service: Service = Service()
    """The Service in front of the daemons."""
    drain_timeout_seconds: Annotated[int, Field(ge=0, le=86400)] = 900
    """Seconds that a stopping daemon waits for the builds it is running; those still running after that are lost."""
    pod: PodOverlay = PodOverlay()
    """What is added to the builder's pods."""


class PodSelector(Model):
    """Which pods are picked without the label buildkit-operator.dev/builder."""

    match_labels: Annotated[Labels, Field(min_length=1)]
    """Labels that a pod must have, all of them. Selectors of two builders of a namespace should not overlap."""


class LocalCache(Model):
    """A volume for `type=local` build cache, which buildctl and buildx keep on their own side, not in the daemon."""

    claim_name: Name
    """PersistentVolumeClaim of the builder's namespace; runner pods on several nodes need one that is ReadWriteMany."""
    mount_path: Annotated[
        str,
        Field(
            min_length=2,
            max_length=255,
            pattern=r"^/[^:]*[^:/]$",
            json_schema_extra=rules(
                rule(
                    "self != '/run/buildkit' && !self.startsWith('/run/buildkit/')",
                    "may not be in /run/buildkit, where the daemon's socket is",
                ),
            ),
        ),
    ] = "/mnt/buildkit-cache"
    """Where the job's containers find it."""


class Injection(Model):
    """What runner pods get."""

    pod_selector: PodSelector | None = None
    """Runner pods to pick without the label, in namespaces labelled buildkit-operator.dev/injection=enabled."""
    containers: Annotated[list[Annotated[str, Field(min_length=1, max_length=63)]], Field(max_length=32)] = Field(
        default=[], json_schema_extra=SET
    )
    """Containers and init containers that get the socket and BUILDKIT_HOST; empty: all."""
    buildx: bool = True
    """Let `docker build` and `buildx build` use the builder, by BUILDX_BUILDER and BUILDX_CONFIG."""
    local_cache: LocalCache | None = None
    """A volume for `type=local` build cache that is kept between jobs."""


class BuilderSpec(Model):
    """What a builder should be."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "self.mode == 'Shared' || !has(self.shared)",
                "shared is only for mode Shared; remove it or set mode to Shared",
                ".shared",
            ),
            rule(
                "self.mode == 'Sidecar' || !has(self.injection)",
                "injection is only for mode Sidecar; remove it or set mode to Sidecar",
                ".injection",
            ),
            rule(
                "self.mode == 'Shared' || !has(self.imagePullSecrets)",
                "imagePullSecrets is only for mode Shared: a sidecar's image is pulled with the runner pod's own",
                ".imagePullSecrets",
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
    """Environment variables of the daemon, such as HTTPS_PROXY and NO_PROXY for pulls."""
    daemon: Daemon = Daemon()
    """The daemon's configuration."""
    cache: Cache = Cache()
    """The build cache."""
    shared: Shared | None = None
    """Settings of mode Shared; unset there means all defaults. An autoscaler needs it set."""
    injection: Injection | None = None
    """What runner pods get in mode Sidecar; unset there means all defaults."""


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
    def shared(self) -> Shared:
        """The settings of mode Shared, defaults where none are given."""
        return self.spec.shared or _SHARED_BY_DEFAULT

    @property
    def injection(self) -> Injection:
        """What runner pods get, defaults where nothing is said."""
        return self.spec.injection or _INJECTION_BY_DEFAULT
