"""A builder's whole fate, decided without a look at the world: from the resource to the objects that should exist."""

from __future__ import annotations

from dataclasses import dataclass

from buildkit_operator.api.builder import BuildKitBuilder, Mode
from buildkit_operator.api.shared import TLSMode
from buildkit_operator.desired import buildkitd_toml, network, workload
from buildkit_operator.desired.certificates import Certificates, secrets
from buildkit_operator.desired.container import DEFAULT_IMAGE
from buildkit_operator.desired.isolation import Confinement
from buildkit_operator.desired.metadata import Manifest


@dataclass(frozen=True)
class Platform:
    """What is the same for all builders of this operator."""

    default_image: str = DEFAULT_IMAGE
    cluster_domain: str = "cluster.local"


def needs_certificates(builder: BuildKitBuilder) -> bool:
    """Tell whether clients of this builder speak mutual TLS."""
    return builder.spec.mode is Mode.SHARED and builder.shared.tls.mode is TLSMode.SELF_SIGNED


def children(
    builder: BuildKitBuilder, platform: Platform, certificates: Certificates | None, confinement: Confinement
) -> list[Manifest]:
    """Return the objects that should exist for a builder, what needs all the others last.

    Raises Problem when the spec asks for something that cannot be.
    """
    toml = buildkitd_toml.render(builder, process_sandbox=confinement.process_sandbox)
    config = workload.config_map(builder, toml, confinement)
    if builder.spec.mode is Mode.SIDECAR:
        return [config]
    read_at_start = [config["data"], _public(certificates)]
    return [
        workload.service_account(builder),
        *secrets(builder, certificates),
        config,
        network.service(builder),
        workload.disruption_budget(builder),
        workload.deployment(builder, platform.default_image, confinement, read_at_start),
    ]


def _public(certificates: Certificates | None) -> list[str]:
    """Return what tells one set of a daemon's certificates from the next, without a key in it."""
    if certificates is None:
        return []
    return [certificates.authority.certificate.decode(), certificates.server.certificate.decode()]
