"""spec.shared: how many daemons there are, who can reach them, where they run."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from buildkit_operator.api import names
from buildkit_operator.api.fields import (
    ATOMIC,
    SET,
    AddressRange,
    Annotations,
    DNSName,
    Labels,
    LabelValue,
    Model,
    Name,
    PodAmount,
    alone,
    list_map,
    model_rules,
    rule,
    rules,
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

    name: Name
    """Name of the issuer; one of kind Issuer is in the builder's namespace."""
    kind: Annotated[str, Field(min_length=1, max_length=63)] = "Issuer"
    """Issuer, ClusterIssuer, or an external issuer's kind."""
    group: DNSName = "cert-manager.io"
    """API group of the issuer."""


class TLS(Model):
    """How a shared daemon proves itself and whom it lets in."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                # The API server checks the default of the whole, {}, before those of the fields apply to it.
                "(has(self.mode) && self.mode == 'CertManager') == has(self.issuerRef)",
                "issuerRef is for mode CertManager, which needs it",
            )
        )
    )

    mode: TLSMode = TLSMode.SELF_SIGNED
    """SelfSigned: mutual TLS by a CA of this builder's own. CertManager: mutual TLS by an issuer of cert-manager.
    Disabled: anyone who can reach the port can build, and build steps can drive the daemon.
    """
    issuer_ref: IssuerReference | None = None
    """The issuer in mode CertManager. Whoever has a client certificate of the same CA can build: use an issuer of the
    builder's own.
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


class DisruptionBudget(Model):
    """How many of a shared builder's daemons a node drain may stop at the same time."""

    max_unavailable: PodAmount = "1"
    """Number of daemons, or a percentage of them; 0 forbids drains. Each waits for its builds first."""


class LabelSelectorRequirement(Model):
    """One requirement on labels."""

    key: Annotated[str, Field(min_length=1, max_length=316)]
    """Label key."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the label's value is compared."""
    values: Annotated[list[LabelValue], Field(max_length=64)] = Field(default=[], json_schema_extra=ATOMIC)
    """Values for In and NotIn."""


class LabelSelector(Model):
    """Objects by their labels; all that is said must hold."""

    match_labels: Labels = Field(default={})
    """Labels that an object must have."""
    match_expressions: Annotated[list[LabelSelectorRequirement], Field(max_length=16)] = Field(
        default=[], json_schema_extra=ATOMIC
    )
    """Requirements on its labels."""


class NamespaceSelector(LabelSelector):
    """Namespaces by their labels; all that is said must hold."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            rule(
                "has(self.matchLabels) && size(self.matchLabels) > 0"
                " || has(self.matchExpressions) && size(self.matchExpressions) > 0",
                "an empty selector would admit every namespace: name at least one label",
            )
        )
    )


class IPBlock(Model):
    """A range of addresses."""

    cidr: AddressRange
    """The range, such as 10.0.0.0/8."""
    except_ranges: Annotated[list[AddressRange], Field(alias="except", max_length=32)] = Field(
        default=[], json_schema_extra=ATOMIC
    )
    """Ranges within it that are left out."""


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


class NetworkPolicy(Model):
    """Who can reach a shared builder's port."""

    from_peers: Annotated[list[NetworkPolicyPeer], Field(alias="from", min_length=1, max_length=32)] = Field(
        json_schema_extra=ATOMIC
    )
    """Who may connect: runner pods, of every namespace that uses the builder, and clients outside. Beside them only the
    operator's exporter of metrics reaches the daemons, where the cluster's network enforces NetworkPolicies.
    """


class AllowedNamespaces(Model):
    """Which other namespaces may use a shared builder; being named or selected is enough."""

    names: Annotated[list[Name], Field(max_length=256)] = Field(default=[], json_schema_extra=SET)
    """Names of namespaces."""
    selector: NamespaceSelector | None = None
    """Labels of namespaces. Whoever may label a namespace can then let it in."""


class BuilderReference(Model):
    """A builder of another namespace."""

    namespace: Name
    """Its namespace."""
    name: Name
    """Its name."""


class Toleration(Model):
    """A taint that the builder's pods tolerate."""

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
    """Taints that the pods tolerate."""
    affinity: dict[str, Any] | None = Field(
        default=None, json_schema_extra={"x-kubernetes-preserve-unknown-fields": True}
    )
    """Affinity rules, as in a pod's spec.affinity."""
    topology_spread_constraints: Annotated[list[TopologySpreadConstraint], Field(max_length=8)] = Field(
        default=[], json_schema_extra=list_map("topologyKey")
    )
    """How the pods spread over zones or nodes; empty: over nodes, where that is possible."""
    priority_class_name: Name | None = None
    """PriorityClass of the pods."""
    service_account_name: Name | None = None
    """ServiceAccount of the pods; unset: one of the builder's own. No token is mounted either way."""


class Shared(Model):
    """A daemon behind a Service, for many jobs."""

    model_config = ConfigDict(
        json_schema_extra=model_rules(
            rule(
                "!has(self.allowedNamespaces) || self.tls.mode == 'SelfSigned'",
                "allowedNamespaces needs tls.mode SelfSigned: other namespaces get their certificates by its CA",
                ".allowedNamespaces",
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
    replicas: Annotated[int, Field(ge=0, le=100)] = 1
    """Number of daemons, each with a cache of its own."""
    port: Annotated[int, Field(ge=1024, le=65535)] = 1234
    """TCP port of daemon and Service; not below 1024, as a rootless daemon cannot listen there."""
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
