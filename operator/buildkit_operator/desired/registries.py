"""Registry configuration: how the daemon talks to registries and mirrors, the table `registry` of buildkitd.toml."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from buildkit_operator.api.daemon import Registry
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.desired import paths

Config = dict[str, Any]


def tables(registries: Sequence[Registry], raw: Collection[str]) -> dict[str, Config]:
    """Return a table for each host, for mirrors too; `raw` are hosts that the raw part of the configuration has.

    BuildKit reads how to reach a mirror from the mirror's own table alone, and finds that by its host without the path
    (util/resolver/resolver.go); what the table of a registry says of TLS never holds for its mirrors
    (moby/buildkit#2514). So a mirror without an entry of its own gets a table with what the registry's entry says.

    Raises TerminalError when two registries say different things of one mirror.
    """
    own = {registry.host: _table(registry) for registry in registries}
    inherited: dict[str, tuple[Registry, Config]] = {}
    for registry, mirror in _mirrors(registries):
        if mirror in own or mirror in raw:
            continue
        other, table = inherited.setdefault(mirror, (registry, _transport(registry)))
        if table != _transport(registry):
            raise _contradiction(mirror, other, registry)
    return own | {mirror: table for mirror, (_, table) in inherited.items() if table}


def _mirrors(registries: Sequence[Registry]) -> Iterator[tuple[Registry, str]]:
    """Yield each registry with the host of each of its mirrors."""
    for registry in registries:
        for mirror in registry.mirrors:
            yield registry, mirror.partition("/")[0]


DOCKER_HUB: Final = "docker.io"


def _table(registry: Registry) -> Config:
    mirrors: Config = {"mirrors": registry.mirrors} if registry.mirrors else {}
    table = mirrors | _transport(registry)
    if registry.host == DOCKER_HUB:
        # What a mirror does not have comes from Docker Hub itself, which nobody means to reach without TLS.
        table.pop("http", None)
    return table


def _transport(registry: Registry) -> Config:
    """Return how a host is reached; nothing means HTTPS with a certificate of a public authority."""
    config: Config = {}
    if registry.plain_http:
        config["http"] = True
    if registry.insecure_skip_verify:
        config["insecure"] = True
    if registry.ca_secret_name:
        config["ca"] = [paths.registry_authority(registry.ca_secret_name)]
    if registry.client_certificate_secret_name:
        certificate, key = paths.registry_client(registry.client_certificate_secret_name)
        config["keypair"] = [{"cert": certificate, "key": key}]
    return config


def _contradiction(mirror: str, one: Registry, another: Registry) -> TerminalError:
    return TerminalError(
        Reason.INVALID_SPEC,
        f"spec.daemon.registries: {one.host} and {another.host} both have the mirror {mirror}, but differ in "
        "plainHTTP, insecureSkipVerify, caSecretName or clientCertificateSecretName, so it is unclear how to reach it. "
        f"Give {mirror} an entry of its own.",
    )
