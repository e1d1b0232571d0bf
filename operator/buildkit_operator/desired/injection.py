"""Injection template: what a runner pod gets, rendered into the status, from where either engine copies it."""

from __future__ import annotations

from typing import Final, TypeAlias

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder, Role
from buildkit_operator.desired import buildx, connector, paths
from buildkit_operator.desired.container import SOCKET_VOLUME, daemon_container, script, volume_owner
from buildkit_operator.desired.isolation import Confinement
from buildkit_operator.desired.platform import Platform
from buildkit_operator.kube.resources import Manifest

START_SECONDS: Final = 60
"""How long the sidecar's daemon may take until it can be used, in seconds; the job waits."""

LOCAL_CACHE_VOLUME: Final = "buildkit-local-cache"


def render(builder: BuildKitBuilder, platform: Platform, confinement: Confinement) -> Manifest:
    """Return status.injection. What is empty is left out, as the API server's expressions ask with has()."""
    match builder.role:
        case Role.SIDECAR:
            containers, volumes = _daemon(builder, platform, confinement)
            more: Manifest = {"hostUsers": False} if confinement.user_namespace else {}
        case Role.DAEMONS | Role.CONSUMER:
            containers, volumes = _connector(builder, platform)
            more = {"cacheKey": True}
    rendered: Manifest = {
        "initContainers": containers,
        "volumes": [*volumes, *_job_volumes(builder)],
        "env": [{"name": names.HOST_VARIABLE, "value": paths.SOCKET}],
        "buildxEnv": _buildx(builder),
        "volumeMounts": _job_mounts(builder),
        "containers": builder.injection.containers,
        "labels": {names.INJECTED_LABEL: builder.metadata.name, names.OWNER_LABEL: builder.metadata.name},
        **more,
    }
    return {name: value for name, value in rendered.items() if value not in ([], {})}


def sidecar(injection: Manifest) -> Manifest:
    """Return the container of a rendered injection that runs beside the job: the daemon or the connector."""
    return next(container for container in injection["initContainers"] if container["name"] in names.SIDECARS)


_Containers: TypeAlias = tuple[list[Manifest], list[Manifest]]
"""Init containers, in the order in which they start, and their volumes."""


def _connector(builder: BuildKitBuilder, platform: Platform) -> _Containers:
    return [connector.container(builder, platform)], connector.volumes(builder)


def _daemon(builder: BuildKitBuilder, platform: Platform, confinement: Confinement) -> _Containers:
    """Return the daemon's container as a native sidecar (KEP-753): up before the job begins, gone after it ends.

    A volume that is made for the pod is given to it before.

    A hook gates the job's start, as probes are too slow for it: the earliest one costs a second. There is no preStop
    hook, as that runs when the pod's end begins, and the job may still be building.
    """
    daemon = daemon_container(builder, platform, confinement)
    gate = script("started.sh", str(START_SECONDS), paths.NOTES_DIRECTORY, paths.TERMINATION_LOG)
    native: Manifest = {
        **daemon.container,
        "restartPolicy": "Always",
        "lifecycle": {"postStart": {"exec": {"command": gate}}},
    }
    owner = [] if builder.spec.cache.ephemeral_volume is None else [volume_owner(builder, platform)]
    return [*owner, native], daemon.volumes


def _buildx(builder: BuildKitBuilder) -> list[Manifest]:
    """Return the variables by which buildx, and the docker CLI with it, finds the builder that buildx.sh describes."""
    if not builder.injection.buildx:
        return []
    return [
        {"name": "BUILDX_BUILDER", "value": buildx.BUILDER},
        {"name": "BUILDX_CONFIG", "value": f"{paths.SOCKET_DIRECTORY}/buildx/{{container}}"},
    ]


def _job_volumes(builder: BuildKitBuilder) -> list[Manifest]:
    cache = builder.injection.local_cache
    if cache is None:
        return []
    return [{"name": LOCAL_CACHE_VOLUME, "persistentVolumeClaim": {"claimName": cache.claim_name}}]


def _job_mounts(builder: BuildKitBuilder) -> list[Manifest]:
    mounts: list[Manifest] = [{"name": SOCKET_VOLUME, "mountPath": paths.SOCKET_DIRECTORY}]
    cache = builder.injection.local_cache
    if cache is not None:
        mounts.append({"name": LOCAL_CACHE_VOLUME, "mountPath": cache.mount_path})
    return mounts
