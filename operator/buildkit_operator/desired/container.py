"""Container template of the daemon, with its volumes: one rendering, whatever pod it runs in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.api.daemon import Resources
from buildkit_operator.api.shared import TLSMode
from buildkit_operator.desired import environment, paths
from buildkit_operator.desired.isolation import Confinement
from buildkit_operator.desired.platform import Platform
from buildkit_operator.kube.resources import Manifest

CONFIG_VOLUME: Final = "buildkit-config"
SOCKET_VOLUME: Final = "buildkit-socket"
STATE_VOLUME: Final = "buildkit-state"
UID: Final = 1000
"""User and group of the daemon in BuildKit's rootless images."""

SUBORDINATE_IDS_KEY: Final = "subordinate-ids"
"""Where the daemon's ConfigMap has what is mounted as /etc/subuid and /etc/subgid."""

REGISTRY_AUTHORITY_KEY: Final = "ca.crt"
"""Where a Secret that a registry's caSecretName names has its certificate authorities."""

START_SECONDS: Final = 120
"""How long a daemon may take until it first answers, in seconds."""


@dataclass(frozen=True)
class DaemonContainer:
    """The daemon's container and the volumes it mounts."""

    container: Manifest
    volumes: list[Manifest]


def daemon_container(builder: BuildKitBuilder, platform: Platform, confinement: Confinement) -> DaemonContainer:
    """Return the daemon's container and its volumes.

    It is never privileged, and never says allowPrivilegeEscalation: false, under which newuidmap fails and the daemon
    cannot start (moby/buildkit#1671).
    """
    spec = builder.spec
    mounted = _volumes(builder, confinement)
    is_sidecar = builder.role is Role.SIDECAR
    container: Manifest = {
        "name": names.DAEMON,
        "image": spec.image or platform.default_image,
        "imagePullPolicy": spec.image_pull_policy.value,
        "command": script("run.sh", "always" if is_sidecar else "once", paths.TOML, paths.ROOT, paths.NOTES_DIRECTORY),
        "env": [
            {"name": names.HOST_VARIABLE, "value": paths.SOCKET},
            *(served_containers(builder) if is_sidecar else []),
            *environment.render(builder, platform.cluster_domain),
        ],
        "resources": _resources(spec.resources),
        "securityContext": {
            "runAsUser": UID,
            "runAsGroup": UID,
            "runAsNonRoot": True,
            **confinement.security_context,
        },
        # The last lines of its log say why a daemon could not start, without a right to read logs.
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": volume["name"], "mountPath": path, **more} for volume, path, more in mounted],
    }
    if not is_sidecar:
        container |= _serving(builder)
    return DaemonContainer(container, list({volume["name"]: volume for volume, _, _ in mounted}.values()))


def volume_owner(builder: BuildKitBuilder, image: str) -> Manifest:
    """Return the init container that gives a claim's volume to the daemon: many are root's (moby/buildkit#2898).

    Pod Security level baseline admits it. Its resources are the daemon's, which costs nothing and satisfies any quota.
    """
    return {
        "name": names.VOLUME_OWNER,
        "image": image,
        "imagePullPolicy": builder.spec.image_pull_policy.value,
        "command": script("own.sh", paths.VOLUME_DIRECTORY, str(UID)),
        "resources": _resources(builder.spec.resources),
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": UID,
            "runAsNonRoot": False,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"], "add": ["CHOWN"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": CONFIG_VOLUME, "mountPath": paths.CONFIG_DIRECTORY, "readOnly": True},
            {"name": STATE_VOLUME, "mountPath": paths.VOLUME_DIRECTORY},
        ],
    }


def _serving(builder: BuildKitBuilder) -> Manifest:
    """Return what a daemon needs that others connect to: its port, probes and a stop that waits for builds."""
    ready = {"exec": {"command": script("ready.sh")}}
    return {
        "ports": [{"name": "buildkit", "containerPort": builder.shared.port, "protocol": "TCP"}],
        # The script itself waits, so the pod is ready when the daemon is and not at the next round of a probe.
        "startupProbe": {
            "exec": {"command": script("ready.sh", str(START_SECONDS))},
            "timeoutSeconds": START_SECONDS + 10,
            "failureThreshold": 1,
            "periodSeconds": 1,
        },
        # No liveness probe: garbage collection blocks the daemon (moby/buildkit#3871), and a restart loses builds.
        "readinessProbe": {**ready, "timeoutSeconds": 30, "periodSeconds": 10, "failureThreshold": 3},
        "lifecycle": {
            "preStop": {"exec": {"command": script("drain.sh", str(builder.shared.drain_timeout_seconds))}},
        },
    }


def served_containers(builder: BuildKitBuilder) -> list[Manifest]:
    """Return the variable that tells a sidecar which of the job's containers want buildx: the engine noted it."""
    if not builder.injection.buildx:
        return []
    field = {"fieldPath": f"metadata.annotations['{names.CONTAINERS_ANNOTATION}']"}
    return [{"name": names.SERVED_VARIABLE, "valueFrom": {"fieldRef": field}}]


def script(name: str, *arguments: str) -> list[str]:
    """Return the command that runs one of our scripts."""
    return ["/bin/sh", f"{paths.CONFIG_DIRECTORY}/{name}", *arguments]


def _resources(resources: Resources) -> Manifest:
    return resources.model_dump(by_alias=True, exclude_none=True)


def _volumes(builder: BuildKitBuilder, confinement: Confinement) -> list[tuple[Manifest, str, Manifest]]:
    """Return each volume with the path it is mounted at and what else its mount says."""
    read_only: Manifest = {"readOnly": True}
    name = builder.metadata.name
    config: Manifest = {"name": CONFIG_VOLUME, "configMap": {"name": names.daemon(name)}}
    volumes: list[tuple[Manifest, str, Manifest]] = [
        (config, paths.CONFIG_DIRECTORY, read_only),
        ({"name": SOCKET_VOLUME, "emptyDir": {}}, paths.SOCKET_DIRECTORY, {}),
        ({"name": STATE_VOLUME, "emptyDir": {"sizeLimit": builder.spec.cache.size}}, paths.STATE_DIRECTORY, {}),
    ]
    if confinement.user_namespace:
        ids = read_only | {"subPath": SUBORDINATE_IDS_KEY}
        volumes += [(config, "/etc/subuid", ids), (config, "/etc/subgid", ids)]
    if builder.role is Role.SIDECAR:
        # In the way of the job's own token, which the API server would mount here too.
        volumes.append(({"name": "buildkit-no-token", "emptyDir": {}}, paths.TOKEN_DIRECTORY, read_only))
    elif builder.shared.tls.mode is not TLSMode.DISABLED:
        secret = {"name": "buildkit-tls", "secret": {"secretName": names.server_secret(name)}}
        volumes.append((secret, paths.CERTIFICATE_DIRECTORY, read_only))
    if secrets := registry_authority_secrets(builder):
        sources = [
            {"secret": {"name": s, "items": [{"key": REGISTRY_AUTHORITY_KEY, "path": f"{s}.crt"}]}} for s in secrets
        ]
        authorities: Manifest = {"name": "buildkit-registry-ca", "projected": {"sources": sources}}
        volumes.append((authorities, paths.REGISTRY_AUTHORITY_DIRECTORY, read_only))
    return volumes


def registry_authority_secrets(builder: BuildKitBuilder) -> list[str]:
    """Return the names of the Secrets that hold certificate authorities of registries, each once."""
    return sorted({r.ca_secret_name for r in builder.spec.daemon.registries if r.ca_secret_name})
