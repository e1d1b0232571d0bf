"""What users have mounted in the daemon's container: authorities, clients' certificates, further volumes of theirs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from buildkit_operator.api.daemon import CertificateSource, Daemon, DaemonVolume
from buildkit_operator.desired import paths
from buildkit_operator.kube.resources import CONFIG_MAP, PERSISTENT_VOLUME_CLAIM, SECRET, Manifest, Resource

Mounted: TypeAlias = tuple[Manifest, str, Manifest]
"""A volume, the path it is mounted at, and what else its mount says."""

AUTHORITY_KEY: Final = "ca.crt"
"""Where a Secret or ConfigMap has certificate authorities, unless the spec says another key."""

CERTIFICATE_KEY: Final = "tls.crt"
PRIVATE_KEY_KEY: Final = "tls.key"
"""Where a Secret of type kubernetes.io/tls has a certificate, and its key."""

VOLUME_PREFIX: Final = "buildkit-volume-"

_READ_ONLY: Final[Manifest] = {"readOnly": True}


@dataclass(frozen=True)
class Reference:
    """An object of the builder's namespace that its author makes, and without which no pod could start."""

    named_by: str
    """What of the spec names it, as a sentence says it."""
    name: str
    resource: Resource
    keys: tuple[str, ...] = ()
    """Keys that it has to have, the first of them with certificates."""
    content: str = ""
    """What it is made with, if it is missing: the end of a sentence."""


def of_users(daemon: Daemon) -> list[Mounted]:
    """Return what is mounted for the user, none of it where we mount something: see MountPath."""
    projected = (
        ("buildkit-registry-ca", paths.REGISTRY_AUTHORITY_DIRECTORY, _registry_authorities(daemon)),
        ("buildkit-registry-client", paths.REGISTRY_CLIENT_DIRECTORY, _client_certificates(daemon)),
        ("buildkit-ca", paths.AUTHORITY_DIRECTORY, _authorities(daemon)),
    )
    files: list[Mounted] = [
        ({"name": name, "projected": {"sources": sources}}, path, _READ_ONLY)
        for name, path, sources in projected
        if sources
    ]
    return files + [_further(volume) for volume in daemon.volumes]


def references(daemon: Daemon) -> list[Reference]:
    """Return the objects that have to exist for that, each once for each kind of field that names it."""
    return list(dict.fromkeys(_references(daemon)))


def _registry_authorities(daemon: Daemon) -> list[Manifest]:
    names = {registry.ca_secret_name for registry in daemon.registries}
    return [_of_secret(name, {AUTHORITY_KEY: f"{name}.crt"}) for name in sorted(filter(None, names))]


def _client_certificates(daemon: Daemon) -> list[Manifest]:
    names = {registry.client_certificate_secret_name for registry in daemon.registries}
    return [
        _of_secret(name, {CERTIFICATE_KEY: f"{name}.crt", PRIVATE_KEY_KEY: f"{name}.key"})
        for name in sorted(filter(None, names))
    ]


def _authorities(daemon: Daemon) -> list[Manifest]:
    return [_of_source(source, f"{number}.crt") for number, source in enumerate(daemon.certificate_authorities)]


def _key_of(source: CertificateSource) -> str:
    return source.key or AUTHORITY_KEY


def _of_source(source: CertificateSource, path: str) -> Manifest:
    key = _key_of(source)
    if source.secret_name is not None:
        return _of_secret(source.secret_name, {key: path})
    return {"configMap": {"name": source.config_map_name, "items": [{"key": key, "path": path}]}}


def _of_secret(name: str, files: dict[str, str]) -> Manifest:
    return {"secret": {"name": name, "items": [{"key": key, "path": path} for key, path in files.items()]}}


def _further(volume: DaemonVolume) -> Mounted:
    """Return a volume of the user's own; of a kind that every Pod Security level admits."""
    content: Manifest
    if volume.secret_name is not None:
        content = {"secret": {"secretName": volume.secret_name}}
    elif volume.config_map_name is not None:
        content = {"configMap": {"name": volume.config_map_name}}
    else:
        content = {"persistentVolumeClaim": {"claimName": volume.claim_name}}
    is_read_only = volume.claim_name is None or volume.read_only
    return {"name": VOLUME_PREFIX + volume.name, **content}, volume.mount_path, _READ_ONLY if is_read_only else {}


def _references(daemon: Daemon) -> Iterator[Reference]:
    for registry in daemon.registries:
        if registry.ca_secret_name is not None:
            yield Reference(
                "spec.daemon.registries names as caSecretName",
                registry.ca_secret_name,
                SECRET,
                (AUTHORITY_KEY,),
                f"the registry's CA certificates, PEM, under the key {AUTHORITY_KEY}",
            )
        if registry.client_certificate_secret_name is not None:
            yield Reference(
                "spec.daemon.registries names as clientCertificateSecretName",
                registry.client_certificate_secret_name,
                SECRET,
                (CERTIFICATE_KEY, PRIVATE_KEY_KEY),
                f"the certificate and its key, PEM, under the keys {CERTIFICATE_KEY} and {PRIVATE_KEY_KEY}",
            )
    for source in daemon.certificate_authorities:
        of_secret = source.secret_name is not None
        key = _key_of(source)
        yield Reference(
            "spec.daemon.certificateAuthorities names",
            (source.secret_name if of_secret else source.config_map_name) or "",
            SECRET if of_secret else CONFIG_MAP,
            (key,),
            f"the CA certificates, PEM, under the key {key}",
        )
    for volume in daemon.volumes:
        for name, resource in (
            (volume.secret_name, SECRET),
            (volume.config_map_name, CONFIG_MAP),
            (volume.claim_name, PERSISTENT_VOLUME_CLAIM),
        ):
            if name is not None:
                yield Reference("spec.daemon.volumes names", name, resource)
