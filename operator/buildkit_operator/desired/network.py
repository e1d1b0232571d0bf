"""Services and NetworkPolicy: how clients reach a shared daemon, who may, and the names in its certificate."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from buildkit_operator.api import names
from buildkit_operator.api.architectures import Architecture
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.shared import METRICS_PORT, OVERFLOW_PORT, NetworkPolicyPeer, ServiceType
from buildkit_operator.desired.metadata import child, selector
from buildkit_operator.kube.resources import Manifest


def services(builder: BuildKitBuilder) -> list[Manifest]:
    """Return the Services. They balance connections, not requests: a build's session must stay with one daemon.

    The builder's own leads to daemons of one architecture, as a client that names no platform is to have the same one
    each time. Where there are several, each has a Service for clients inside the cluster, and each a headless one.
    """
    wanted, first = builder.shared.service, builder.shared.each_architecture[0]
    own = _service(builder, names.daemon(builder.metadata.name), wanted.type, first, wanted.annotations)
    of_each = [
        _service(builder, names.daemon(builder.metadata.name, architecture), ServiceType.CLUSTER_IP, architecture)
        for architecture in builder.shared.architectures
    ]
    return [own, *of_each, *(_headless_service(builder, each) for each in builder.shared.each_architecture)]


def _service(
    builder: BuildKitBuilder,
    name: str,
    kind: ServiceType,
    architecture: Architecture | None,
    annotations: Mapping[str, str] = MappingProxyType({}),
) -> Manifest:
    return child(
        builder,
        "v1",
        "Service",
        name,
        annotations=annotations,
        spec={
            "type": kind.value,
            "selector": selector(builder, architecture),
            "ports": [_port(builder)],
        },
    )


def _headless_service(builder: BuildKitBuilder, architecture: Architecture | None) -> Manifest:
    """Return the headless Service, by which DNS knows each ready daemon of its own."""
    return child(
        builder,
        "v1",
        "Service",
        names.headless(builder.metadata.name, architecture),
        spec={
            "clusterIP": "None",
            "selector": selector(builder, architecture),
            "ports": [_port(builder)],
        },
    )


def _port(builder: BuildKitBuilder) -> Manifest:
    """Return the port of all Services.

    A service mesh that took it for HTTP/2 would spread the calls of one build over several daemons.
    """
    return {
        "name": "buildkit",
        "port": builder.shared.port,
        "targetPort": "buildkit",
        "protocol": "TCP",
        "appProtocol": "tcp",
    }


def network_policy(builder: BuildKitBuilder) -> list[Manifest]:
    """Return the NetworkPolicy of a builder that says who may connect, none where it does not.

    Metrics are for everybody. It closes all other ports of the daemons' pods, and nothing of what goes out: builds
    fetch from anywhere.
    """
    policy = builder.shared.network_policy
    if policy is None:
        return []
    peers = [_peer(peer) for peer in policy.from_peers]
    builds = [{"protocol": "TCP", "port": port} for port in (builder.shared.port, OVERFLOW_PORT)]
    metrics = [{"protocol": "TCP", "port": METRICS_PORT}]
    spec = {
        "podSelector": {"matchLabels": selector(builder)},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": peers, "ports": builds}, {"ports": metrics}],
    }
    return [child(builder, "networking.k8s.io/v1", "NetworkPolicy", names.daemon(builder.metadata.name), spec=spec)]


def _peer(peer: NetworkPolicyPeer) -> Manifest:
    """Return a peer as it was written: a selector that says nothing selects all and must stay."""
    return peer.model_dump(by_alias=True, exclude_defaults=True)


def endpoint(builder: BuildKitBuilder) -> str:
    """Return the address that clients inside the cluster use."""
    return f"tcp://{names.daemon(builder.metadata.name)}.{builder.metadata.namespace}.svc:{builder.shared.port}"


def dns_names(builder: BuildKitBuilder, cluster_domain: str) -> list[str]:
    """Return the names that clients may reach the daemon by; localhost is for `kubectl port-forward`."""
    name, namespace = builder.metadata.name, builder.metadata.namespace
    headless = [names.headless(name, architecture) for architecture in builder.shared.each_architecture]
    of_each = [names.daemon(name, architecture) for architecture in builder.shared.architectures]
    of_services = (
        f"{host}{suffix}"
        for host in (names.daemon(name), *of_each, *headless, *(f"*.{host}" for host in headless))
        for suffix in ("", f".{namespace}", f".{namespace}.svc", f".{namespace}.svc.{cluster_domain}")
    )
    return sorted({*of_services, "localhost", *builder.shared.tls.dns_names})
