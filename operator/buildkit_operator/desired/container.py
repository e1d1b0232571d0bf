"""Container template of the daemon, with its volumes: one rendering, whatever pod it runs in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.architectures import Architecture
from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.desired import environment, mounts, paths
from buildkit_operator.desired.cache_volume import STATE_VOLUME, state_volume
from buildkit_operator.desired.isolation import DAEMON_ID, Confinement
from buildkit_operator.desired.platform import Platform
from buildkit_operator.kube.resources import Manifest

CONFIG_VOLUME: Final = "buildkit-config"
SOCKET_VOLUME: Final = "buildkit-socket"
NO_TOKEN_VOLUME: Final = "buildkit-no-token"  # noqa: S105  a name
"""An empty one in the way of the job's own token, which the API server would mount in a sidecar too."""

SUBORDINATE_IDS_KEY: Final = "subordinate-ids"
"""Where the daemon's ConfigMap has what is mounted as /etc/subuid and /etc/subgid."""

NO_TOKEN_MOUNT: Final = {"name": NO_TOKEN_VOLUME, "mountPath": paths.TOKEN_DIRECTORY, "readOnly": True}

START_SECONDS: Final = 120
"""How long a daemon may take until it first answers, in seconds."""


@dataclass(frozen=True)
class DaemonContainer:
    """The daemon's container and the volumes it mounts."""

    container: Manifest
    volumes: list[Manifest]


def daemon_container(
    builder: BuildKitBuilder, platform: Platform, confinement: Confinement, architecture: Architecture | None = None
) -> DaemonContainer:
    """Return the daemon's container and its volumes; of an architecture, if it is told which one it builds for.

    It is never privileged, and never says allowPrivilegeEscalation: false, under which newuidmap fails and the daemon
    cannot start (moby/buildkit#1671).
    """
    spec = builder.spec
    mounted = _volumes(builder, confinement)
    is_sidecar = builder.role is Role.SIDECAR
    container: Manifest = {
        "name": names.DAEMON,
        "image": _image(builder, platform),
        "imagePullPolicy": spec.image_pull_policy.value,
        "command": script("run.sh", *_run_arguments(builder, architecture)),
        "env": [
            {"name": names.HOST_VARIABLE, "value": paths.SOCKET},
            *(served_containers(builder) if is_sidecar else []),
            *environment.render(builder, platform.cluster_domain),
        ],
        "resources": _resources(builder, platform),
        "securityContext": {
            "runAsUser": DAEMON_ID,
            "runAsGroup": DAEMON_ID,
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


def config_map_name(builder: BuildKitBuilder) -> str:
    """Return the name of the daemon's ConfigMap, another one in each mode.

    Pods of the mode before still read theirs, and new ones too while a change of the mode is refused half-way; what a
    shared daemon reads would have one in a runner pod listen on a port.
    """
    of_mode = names.sidecar if builder.role is Role.SIDECAR else names.daemon
    return of_mode(builder.metadata.name)


def volume_owner(builder: BuildKitBuilder, platform: Platform) -> Manifest:
    """Return the init container that gives a volume to the daemon: a claim's is root's with many (moby/buildkit#2898).

    Pod Security level baseline admits it. Its resources are the daemon's, which costs nothing and satisfies any quota.
    """
    return {
        "name": names.VOLUME_OWNER,
        "image": _image(builder, platform),
        "imagePullPolicy": builder.spec.image_pull_policy.value,
        "command": script("own.sh", paths.VOLUME_DIRECTORY, str(DAEMON_ID)),
        "resources": _resources(builder, platform),
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": DAEMON_ID,
            "runAsNonRoot": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "seccompProfile": {"type": "RuntimeDefault"},
            "capabilities": {"drop": ["ALL"], "add": ["CHOWN"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": CONFIG_VOLUME, "mountPath": paths.CONFIG_DIRECTORY, "readOnly": True},
            {"name": STATE_VOLUME, "mountPath": paths.VOLUME_DIRECTORY},
            *([NO_TOKEN_MOUNT] if builder.role is Role.SIDECAR else []),
        ],
    }


def _serving(builder: BuildKitBuilder) -> Manifest:
    """Return what a daemon needs that others build with: probes and a stop that waits for builds."""
    ready = {"exec": {"command": script("ready.sh")}}
    return {
        # The script itself waits, so the pod is ready when the daemon is and not at the next round of a probe.
        "startupProbe": {
            "exec": {"command": script("ready.sh", str(START_SECONDS), paths.NOTES_DIRECTORY, paths.FRONT_DIRECTORY)},
            "timeoutSeconds": START_SECONDS + 10,
            "failureThreshold": 1,
            "periodSeconds": 1,
        },
        # No liveness probe: garbage collection blocks the daemon (moby/buildkit#3871), and a restart loses builds.
        "readinessProbe": {**ready, "timeoutSeconds": 30, "periodSeconds": 10, "failureThreshold": 3},
        "lifecycle": {
            "preStop": {
                "exec": {
                    "command": script(
                        "drain.sh",
                        str(builder.shared.drain_timeout_seconds),
                        paths.NOTES_DIRECTORY,
                        paths.TERMINATION_LOG,
                        paths.FRONT_DIRECTORY,
                    )
                }
            },
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


def _image(builder: BuildKitBuilder, platform: Platform) -> str:
    return builder.spec.image or platform.default_image


def _resources(builder: BuildKitBuilder, platform: Platform) -> Manifest:
    of_builder = builder.spec.resources
    return (of_builder if of_builder.is_set else platform.daemon_resources).rendered()


def _run_arguments(builder: BuildKitBuilder, architecture: Architecture | None) -> list[str]:
    restart = "always" if builder.role is Role.SIDECAR else "once"
    trusted = paths.AUTHORITY_DIRECTORY if builder.spec.daemon.certificate_authorities else ""
    more = [trusted] if trusted else []
    if architecture is not None:
        more = [trusted, architecture.platform]
    return [restart, paths.TOML, paths.ROOT, paths.NOTES_DIRECTORY, paths.TERMINATION_LOG, *more]


def _volumes(builder: BuildKitBuilder, confinement: Confinement) -> list[tuple[Manifest, str, Manifest]]:
    """Return each volume with the path it is mounted at and what else its mount says."""
    read_only: Manifest = {"readOnly": True}
    # BuildKit runs one of the scripts itself.
    scripts: Manifest = {"name": config_map_name(builder), "defaultMode": 0o555}
    config: Manifest = {"name": CONFIG_VOLUME, "configMap": scripts}
    volumes: list[tuple[Manifest, str, Manifest]] = [
        (config, paths.CONFIG_DIRECTORY, read_only),
        ({"name": SOCKET_VOLUME, "emptyDir": {}}, paths.SOCKET_DIRECTORY, {}),
        (state_volume(builder), paths.STATE_DIRECTORY, {}),
    ]
    if confinement.subordinate_ids is not None:
        ids = read_only | {"subPath": SUBORDINATE_IDS_KEY}
        volumes += [(config, "/etc/subuid", ids), (config, "/etc/subgid", ids)]
    if builder.role is Role.SIDECAR:
        volumes.append(({"name": NO_TOKEN_VOLUME, "emptyDir": {}}, paths.TOKEN_DIRECTORY, read_only))
    return volumes + mounts.of_users(builder.spec.daemon)
