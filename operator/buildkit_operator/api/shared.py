"""spec.shared: how many daemons there are, who can reach them, where they run."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from buildkit_operator.api.affinity import Affinity
from buildkit_operator.api.architectures import NODE_LABEL, Architecture
from buildkit_operator.api.autoscaling import Autoscaling
from buildkit_operator.api.field_types import (
    RESOLVER_OPTION,
    Address,
    AddressRange,
    Domain,
    DomainOrWildcard,
    FewOwnAnnotations,
    LabelKey,
    LabelValue,
    NodeLabels,
    ObjectName,
    OwnAnnotations,
    OwnLabels,
    PodAmount,
    ShortName,
    in_cel,
)
from buildkit_operator.api.fields import (
    ATOMIC,
    SET,
    Model,
    alone,
    list_map,
    model_rules,
    rule,
    rules,
)
from buildkit_operator.api.names import MAX_NAME_LENGTH
from buildkit_operator.api.selectors import (
    LabelSelector,
    NamespaceSelector,
    selector_entries,
    selector_entries_in_cel,
)


class TLSMode(StrEnum):
    """Where the daemon's certificates come from."""

    SELF_SIGNED = "SelfSigned"
    CERT_MANAGER = "CertManager"
    DISABLED = "Disabled"


class ServiceType(StrEnum):
    """How a shared builder can be reached."""

    CLUSTER_IP = "ClusterIP"
    NODE_PORT = "NodePort"
    LOAD_BALANCER = "LoadBalancer"


class IssuerReference(Model):
    """An issuer of cert-manager."""

    name: ObjectName
    """Name of the issuer; one of kind Issuer is in the builder's namespace."""
    kind: Annotated[str, Field(min_length=1, max_length=63, pattern="^[A-Za-z][A-Za-z0-9]*$")] = "Issuer"
    """Issuer, ClusterIssuer, or an external issuer's kind."""
    group: Domain = "cert-manager.io"
    """API group of the issuer."""


class TLS(Model):
    """How a shared daemon proves itself and whom it lets in."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                # The API server checks the default of the whole, {}, before those of the fields apply to it.
                "(has(self.mode) && self.mode == 'CertManager') == has(self.issuerRef)",
                "issuerRef is for mode CertManager, which needs it",
            ),
            rule(
                "!has(self.mode) || self.mode != 'Disabled' || !has(self.dnsNames) || size(self.dnsNames) == 0",
                "dnsNames stand in the certificate, of which there is none in mode Disabled",
                ".dnsNames",
            ),
        )
    )

    mode: TLSMode = TLSMode.SELF_SIGNED
    """SelfSigned: mutual TLS by a CA of this builder's own. CertManager: mutual TLS by an issuer of cert-manager.
    Disabled: anyone who can reach the port can build, and build steps can drive the daemon.
    """
    issuer_ref: IssuerReference | None = None
    """The issuer in mode CertManager. Anyone with a client certificate of the same CA can build: use an issuer of the
    builder's own.
    """
    dns_names: Annotated[list[DomainOrWildcard], Field(max_length=32)] = Field(default=[], json_schema_extra=SET)
    """Further names that clients use, such as a load balancer's; the Service's own are always included."""


class Service(Model):
    """The Service in front of a shared builder."""

    type: ServiceType = ServiceType.CLUSTER_IP
    """How the Service is published."""
    annotations: OwnAnnotations = Field(default={})
    """Annotations of the Service, such as a cloud load balancer's settings. Put no HTTP/2 proxy in front: it splits a
    build's session.
    """


class DisruptionBudget(Model):
    """How many of a shared builder's daemons a node drain may stop at the same time."""

    max_unavailable: PodAmount = "1"
    """Number of daemons, or a percentage of them; 0 forbids drains. Each waits for its builds first."""


class IPBlock(Model):
    """A range of addresses."""

    cidr: AddressRange
    """The range, such as 10.0.0.0/8."""
    except_ranges: Annotated[list[AddressRange], Field(alias="except", max_length=16)] = Field(
        default=[], json_schema_extra=ATOMIC
    )
    """Ranges within it that are left out."""

    @model_validator(mode="after")
    def _leaves_out_parts(self) -> Self:
        """Ask what CEL could only ask at a cost that API servers of old do not let a CRD have."""
        for part in self.except_ranges:
            if not _is_part(ip_network(part), ip_network(self.cidr)):
                raise ValueError(f"except: {part} is no part of {self.cidr}")
        return self


def _is_part(part: IPv4Network | IPv6Network, whole: IPv4Network | IPv6Network) -> bool:
    """Tell whether a range lies within another one and is smaller (ValidateIPBlock)."""
    is_smaller = part.version == whole.version and part.prefixlen > whole.prefixlen
    return is_smaller and part.network_address in whole


class NetworkPolicyPeer(Model):
    """Pods or addresses, as in a NetworkPolicy's spec.ingress[].from."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.ipBlock) != (has(self.podSelector) || has(self.namespaceSelector))",
                "either ipBlock or podSelector and namespaceSelector must be set",
            )
        )
    )

    pod_selector: LabelSelector | None = None
    """Pods by their labels, of the builder's namespace unless namespaceSelector is set too."""
    namespace_selector: LabelSelector | None = None
    """Namespaces by their labels; empty: all."""
    ip_block: IPBlock | None = None
    """Addresses, such as those of clients outside the cluster."""


MOST_ENTRIES: Final = 256
"""Labels, requirements and values of all peers together."""

_TOO_MANY: Final = f"all peers together may have at most {MOST_ENTRIES} labels, requirements and values"
_ENTRIES: Final = (
    f"self.map(p, {selector_entries_in_cel('p', 'podSelector')} + "
    f"{selector_entries_in_cel('p', 'namespaceSelector')}).sum()"
)


def _few_entries(peers: list[NetworkPolicyPeer]) -> list[NetworkPolicyPeer]:
    selectors = [selector for peer in peers for selector in (peer.pod_selector, peer.namespace_selector)]
    if sum(map(selector_entries, selectors)) > MOST_ENTRIES:
        raise ValueError(_TOO_MANY)
    return peers


class NetworkPolicy(Model):
    """Who can reach a shared builder's port."""

    from_peers: Annotated[
        list[NetworkPolicyPeer], Field(alias="from", min_length=1, max_length=32), AfterValidator(_few_entries)
    ] = Field(json_schema_extra=ATOMIC | rules(rule(f"{_ENTRIES} <= {MOST_ENTRIES}", _TOO_MANY)))
    """Who may connect: runner pods, of every namespace that uses the builder, and clients outside, where the cluster's
    network enforces NetworkPolicies. The port with metrics is open to everybody.
    """


class AllowedNamespaces(Model):
    """Which other namespaces may use a shared builder; being named or selected is enough."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.selector) || has(self.names) && size(self.names) > 0",
                "admits nobody: give names or a selector, or remove it",
            )
        )
    )

    names: Annotated[list[ShortName], Field(max_length=256)] = Field(default=[], json_schema_extra=SET)
    """Names of namespaces."""
    selector: NamespaceSelector | None = None
    """Labels of namespaces. Anyone who can label a namespace can then let it in."""


class BuilderReference(Model):
    """A builder of another namespace."""

    namespace: ShortName
    """Its namespace."""
    name: Annotated[ShortName, Field(max_length=MAX_NAME_LENGTH)]
    """Its name."""


class Toleration(Model):
    """A taint that the builder's pods tolerate."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.key) || has(self.operator) && self.operator == 'Exists'",
                "without a key, which means every taint, operator must be Exists",
                ".operator",
            ),
            rule(
                "!has(self.value) || self.value == '' || !has(self.operator) || self.operator == 'Equal'",
                "operator Exists compares no value",
                ".value",
            ),
            rule(
                "!has(self.tolerationSeconds) || has(self.effect) && self.effect == 'NoExecute'",
                "tolerationSeconds is only for effect NoExecute",
                ".tolerationSeconds",
            ),
        )
    )

    key: LabelKey | None = None
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
    topology_key: LabelKey
    """Node label whose values are the domains, such as topology.kubernetes.io/zone."""
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = "ScheduleAnyway"
    """What happens when the constraint cannot be met."""


class HostAlias(Model):
    """Names of an address that no name server knows."""

    ip: Address
    """The address."""
    hostnames: Annotated[list[Domain], Field(min_length=1, max_length=4)] = Field(json_schema_extra=ATOMIC)
    """Its names."""


class ResolverSetting(Model):
    """An option of a pod's resolver."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                f"(has(self.value) ? self.name + ':' + self.value : self.name).matches({in_cel(RESOLVER_OPTION)})",
                "must be an option of resolv.conf, such as ndots with value 2: resolvers pass over others",
            )
        )
    )

    name: Annotated[str, Field(min_length=1, max_length=63, pattern="^[a-z0-9][-_a-z0-9]*$")]
    """Name of the option, such as ndots."""
    value: Annotated[str, Field(min_length=1, max_length=63, pattern="^[-_.a-zA-Z0-9]*$")] | None = None
    """Its value, if it has one."""


class PodDNSConfig(Model):
    """Name resolution of the builder's pods beside what dnsPolicy says, as in a pod's spec.dnsConfig."""

    nameservers: Annotated[list[Address], Field(max_length=3)] = Field(default=[], json_schema_extra=ATOMIC)
    """Addresses of name servers."""
    searches: Annotated[list[Domain], Field(max_length=16)] = Field(default=[], json_schema_extra=ATOMIC)
    """Domains that short names are looked up in."""
    options: Annotated[list[ResolverSetting], Field(max_length=16)] = Field(default=[], json_schema_extra=ATOMIC)
    """Options of the resolver."""


class PodOverlay(Model):
    """What is added to the builder's pods: for scheduling, for the names they resolve, for other tools."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "!has(self.dnsPolicy) || self.dnsPolicy != 'None' || has(self.dnsConfig) && "
                "has(self.dnsConfig.nameservers) && self.dnsConfig.nameservers.size() > 0",
                "dnsPolicy None needs dnsConfig.nameservers: the pods would have no name server",
                ".dnsPolicy",
            ),
            rule(
                "!has(self.serviceAccountName) || !has(self.serviceAccountAnnotations) || "
                "self.serviceAccountAnnotations.size() == 0",
                "serviceAccountAnnotations are for the builder's own ServiceAccount: annotate the one that "
                "serviceAccountName names yourself",
                ".serviceAccountAnnotations",
            ),
        )
    )

    labels: OwnLabels = Field(default={})
    """Further labels."""
    annotations: OwnAnnotations = Field(default={})
    """Further annotations."""
    node_selector: NodeLabels = Field(default={})
    """Labels that a node must have."""
    tolerations: Annotated[list[Toleration], Field(max_length=32)] = Field(default=[], json_schema_extra=ATOMIC)
    """Taints that the pods tolerate."""
    affinity: Affinity | None = None
    """Affinity rules, as in a pod's spec.affinity."""
    topology_spread_constraints: Annotated[list[TopologySpreadConstraint], Field(max_length=8)] = Field(
        default=[], json_schema_extra=list_map("topologyKey")
    )
    """How the pods spread over zones or nodes; empty: over nodes, where that is possible."""
    priority_class_name: ObjectName | None = None
    """PriorityClass of the pods."""
    service_account_name: ObjectName | None = None
    """ServiceAccount of the pods; unset: their own. Its token is not mounted; its cloud identity is theirs, and that of
    every build step.
    """
    service_account_annotations: FewOwnAnnotations = Field(default={})
    """Annotations of the pods' own ServiceAccount, by which a cloud gives it an identity, such as
    eks.amazonaws.com/role-arn: for a remote cache in a bucket. Every build step has that identity too.
    """
    runtime_class_name: ObjectName | None = None
    """RuntimeClass of the pods, such as one of Kata Containers."""
    host_aliases: Annotated[list[HostAlias], Field(max_length=16)] = Field(default=[], json_schema_extra=list_map("ip"))
    """Lines of the pods' /etc/hosts, for what the daemon fetches and pushes. Build steps get theirs from the client, by
    `--add-host`.
    """
    dns_policy: Literal["ClusterFirst", "Default", "None"] | None = None
    """Where the pods' name servers come from; unset: ClusterFirst. None: from dnsConfig alone."""
    dns_config: PodDNSConfig | None = None
    """Name servers of the pods, of their build steps too, unless spec.daemon.dns says others for these."""


OVERFLOW_PORT: Final = 1233
"""Where a daemon's pod takes the builds of connectors, and refuses them while it has no place."""

METRICS_PORT: Final = 9150
"""Where a daemon's pod serves metrics."""

QUEUE_SECONDS: Final = 3600
"""How long a build waits for a place where a builder does not say."""

_TAKEN_PORT: Final = f"the pods have other things on the ports {OVERFLOW_PORT} and {METRICS_PORT}"


def _free_port(port: int) -> int:
    if port in (OVERFLOW_PORT, METRICS_PORT):
        raise ValueError(_TAKEN_PORT)
    return port


class Shared(Model):
    """A daemon behind a Service, for many jobs."""

    model_config = ConfigDict(
        json_schema_extra=model_rules(
            rule(
                "!has(self.allowedNamespaces) || self.tls.mode == 'SelfSigned'",
                "allowedNamespaces needs tls.mode SelfSigned: other namespaces get their certificates by its CA",
                ".allowedNamespaces",
            ),
            rule(
                # `kubectl scale` makes this object where there was none, and then it has no defaults.
                "!has(self.tls) || self.tls.mode != 'Disabled' || !has(self.service) "
                "|| self.service.type == 'ClusterIP' || has(self.networkPolicy)",
                "type LoadBalancer or NodePort with tls.mode Disabled would let everybody outside build: "
                "leave TLS on, or say in networkPolicy who may connect",
                ".service.type",
            ),
            rule(
                "self.tls.mode != 'Disabled' || !has(self.networkPolicy) || "
                r"!self.networkPolicy.from.exists(p, has(p.ipBlock) && p.ipBlock.cidr.matches('/[0-7]$'))",
                "with tls.mode Disabled an ipBlock may not be wider than /8, as it would let the internet build: "
                "leave TLS on, or name the addresses of clients",
                ".networkPolicy",
            ),
            rule(
                f"!has(self.port) || !(self.port in [{OVERFLOW_PORT}, {METRICS_PORT}])",
                _TAKEN_PORT,
                ".port",
            ),
            rule(
                "!has(self.queueTimeoutSeconds) || has(self.maxBuilds)",
                "queueTimeoutSeconds needs maxBuilds: without it no build waits for a place",
                ".queueTimeoutSeconds",
            ),
            rule(
                "!has(self.autoscaling) || !has(self.replicas) || self.replicas == 1",
                "autoscaling sets the number of daemons: set its minReplicas and maxReplicas, or remove it",
                ".replicas",
            ),
            rule(
                "!has(self.autoscaling) || !has(self.autoscaling.buildsPerReplica) || !has(self.maxBuilds) "
                "|| self.autoscaling.buildsPerReplica < self.maxBuilds",
                "buildsPerReplica must be less than maxBuilds: full daemons would show no need of another one",
                ".autoscaling.buildsPerReplica",
            ),
            rule(
                "!has(self.architectures) || self.architectures.size() == 0 || !has(self.pod) || "
                f"!has(self.pod.nodeSelector) || !('{NODE_LABEL}' in self.pod.nodeSelector)",
                f"architectures has the nodes chosen by {NODE_LABEL}: remove it from pod.nodeSelector",
                ".pod.nodeSelector",
            ),
            alone(
                "!has(self.from)",
                {"from_builder"},
                "from excludes everything else of shared: the other namespace's builder decides it",
                ".from",
            ),
        )
    )

    from_builder: Annotated[BuilderReference | None, Field(alias="from")] = None
    """Use the daemons of another namespace's builder, whose shared.allowedNamespaces must admit this namespace. Then
    nothing else of shared and nothing of the daemon's may be set.
    """
    allowed_namespaces: AllowedNamespaces | None = None
    """Other namespaces that may use this builder, each by a builder of its own that says shared.from."""
    architectures: Annotated[list[Architecture], Field(max_length=len(Architecture))] = Field(
        default=[], json_schema_extra=SET
    )
    """Architectures to build for natively, each by daemons of its own on nodes of it; unset: one sort of daemon, on any
    node. A runner pod builds on that of its own node, with `buildx build --platform` on all that are named; the
    Service, and a runner pod on a node of another one, lead to the first.
    """
    replicas: Annotated[int, Field(ge=0, le=100)] = 1
    """Number of daemons, each with a cache of its own; with architectures, of each. Beside autoscaling it must be left
    out.
    """
    autoscaling: Autoscaling | None = None
    """Have the operator set the number of daemons by demand; unset: it is replicas, which an autoscaler may set."""
    port: Annotated[int, Field(ge=1024, le=65535), AfterValidator(_free_port)] = 1234
    """TCP port of pods and Service; not below 1024, where only root can listen."""
    max_builds: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Builds that each daemon runs at one time; unset: as many as come. Where one is full, the next one of a runner
    pod's cache key gets the build; where all are, it waits, and so does that of a client outside injection at the
    daemon to which the Service sends it. A build is a connection that has opened a session; several targets of one
    `buildx bake` are one. A connection that only asks for something, or is idle, counts in its first second alone; if
    it begins a build later, that runs at once, be there a place or not.
    """
    queue_timeout_seconds: Annotated[int, Field(ge=1, le=86400)] | None = None
    """Seconds that a build waits for a place beneath maxBuilds; then it fails with a sentence. Unset: 3600."""
    tls: TLS = TLS()
    """Certificates of daemon and clients."""
    service: Service = Service()
    """The Service in front of the daemons."""
    network_policy: NetworkPolicy | None = None
    """Who can reach the port; unset: no NetworkPolicy is made."""
    disruption_budget: DisruptionBudget = DisruptionBudget()
    """How many daemons a node drain may stop at the same time."""
    drain_timeout_seconds: Annotated[int, Field(ge=0, le=86400)] = 900
    """Seconds that a stopping daemon waits for the builds it is running; those still running after that are lost."""
    pod: PodOverlay = PodOverlay()
    """What is added to the builder's pods."""

    @property
    def most_replicas(self) -> int:
        """How many daemons there may be without a change of the spec."""
        return self.replicas if self.autoscaling is None else self.autoscaling.max_replicas

    @property
    def each_architecture(self) -> Sequence[Architecture | None]:
        """Those that have a workload each, the one that the Service leads to first; None where there is one for all."""
        return self.architectures or (None,)

    @property
    def queue_seconds(self) -> int:
        """How long a build waits for a place."""
        return self.queue_timeout_seconds or QUEUE_SECONDS
