"""Services and NetworkPolicy: how clients reach a shared daemon, who may, and the names in its certificate."""

from __future__ import annotations

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.shared import METRICS_PORT, OVERFLOW_PORT, NetworkPolicyPeer
from buildkit_operator.desired.metadata import child, selector
from buildkit_operator.kube.resources import Manifest


def service(builder: BuildKitBuilder) -> Manifest:
    """Return the Service. It balances connections, not requests: a build's session must stay with one daemon."""
    wanted = builder.shared.service
    return child(
        builder,
        "v1",
        "Service",
        names.daemon(builder.metadata.name),
        annotations=wanted.annotations,
        spec={
            "type": wanted.type.value,
            "selector": selector(builder),
            "ports": [_port(builder)],
        },
    )


def headless_service(builder: BuildKitBuilder) -> Manifest:
    """Return the headless Service, by which DNS knows each ready daemon of its own."""
    return child(
        builder,
        "v1",
        "Service",
        names.headless(builder.metadata.name),
        spec={
            "clusterIP": "None",
            "selector": selector(builder),
            "ports": [_port(builder)],
        },
    )


def _port(builder: BuildKitBuilder) -> Manifest:
    """Return the port of both Services.

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
    name, namespace = names.daemon(builder.metadata.name), builder.metadata.namespace
    headless = names.headless(builder.metadata.name)
    of_services = (
        f"{host}{suffix}"
        for host in (name, headless, f"*.{headless}")
        for suffix in ("", f".{namespace}", f".{namespace}.svc", f".{namespace}.svc.{cluster_domain}")
    )
    return sorted({*of_services, "localhost", *builder.shared.tls.dns_names})
