"""Desired state: pure builders from the spec to the manifests of a builder's child objects."""

from __future__ import annotations

from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.api.shared import TLSMode
from buildkit_operator.desired import buildkitd_toml, connector, front, network, workload
from buildkit_operator.desired.certificates import Certificates, secrets
from buildkit_operator.desired.claims import NO_CLAIMS, Claims, room
from buildkit_operator.desired.isolation import Confinement
from buildkit_operator.desired.platform import Platform
from buildkit_operator.desired.scripts import FRONT_SCRIPTS
from buildkit_operator.kube.resources import Manifest


def needs_certificates(builder: BuildKitBuilder) -> bool:
    """Tell whether clients of this builder speak mutual TLS."""
    return builder.role is not Role.SIDECAR and builder.shared.tls.mode is not TLSMode.DISABLED


def issued_by_cert_manager(builder: BuildKitBuilder) -> bool:
    """Tell whether cert-manager issues this builder's certificates."""
    return builder.role is not Role.SIDECAR and builder.shared.tls.mode is TLSMode.CERT_MANAGER


def children(
    builder: BuildKitBuilder,
    platform: Platform,
    certificates: Certificates | None,
    confinement: Confinement,
    claims: Claims = NO_CLAIMS,
) -> list[Manifest]:
    """Return the objects that should exist for a builder with these claims, what needs all the others last.

    Raises TerminalError when the spec asks for something that cannot be.
    """
    toml = buildkitd_toml.render(builder, process_sandbox=confinement.process_sandbox, room=room(builder, claims))
    config = workload.config_map(builder, toml, confinement)
    match builder.role:
        case Role.SIDECAR:
            return [config]
        case Role.CONSUMER:
            raise ValueError("what a consumer has depends on its provider: see consumers.children")
        case Role.DAEMONS:
            # The front takes what is new of its own ConfigMap and Secret, but for its script.
            read_at_start = [
                config["data"],
                [FRONT_SCRIPTS["front.sh"], FRONT_SCRIPTS["haproxy.sh"]],
                certificates.oldest_authority if certificates is not None else None,
            ]
            return [
                workload.service_account(builder),
                *secrets(builder, certificates),
                config,
                front.config_map(builder),
                connector.config_map(builder, connector.Upstream.of(builder, platform)),
                *network.services(builder),
                *network.network_policy(builder),
                *workload.disruption_budgets(builder),
                *workload.daemons(builder, platform, confinement, read_at_start, claims),
            ]
