"""How clients reach a shared daemon: its Service, its address, and the names its certificate must carry."""

from __future__ import annotations

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.desired.metadata import Manifest, child, selector


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
            "ports": [
                {"name": "buildkit", "port": builder.shared.port, "targetPort": "buildkit", "protocol": "TCP"},
            ],
        },
    )


def endpoint(builder: BuildKitBuilder) -> str:
    """Return the address that clients inside the cluster use."""
    return f"tcp://{names.daemon(builder.metadata.name)}.{builder.metadata.namespace}.svc:{builder.shared.port}"


def dns_names(builder: BuildKitBuilder, cluster_domain: str) -> list[str]:
    """Return the names that clients may reach the daemon by; localhost is for `kubectl port-forward`."""
    name, namespace = names.daemon(builder.metadata.name), builder.metadata.namespace
    of_service = [name, f"{name}.{namespace}", f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.{cluster_domain}"]
    return sorted({*of_service, "localhost", *builder.shared.tls.dns_names})
