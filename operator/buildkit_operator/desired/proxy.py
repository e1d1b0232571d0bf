"""Container with HAProxy: what the connector of a runner pod and the front of a daemon have in common. No I/O."""

from __future__ import annotations

from typing import Final

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.desired import paths
from buildkit_operator.desired.platform import Platform
from buildkit_operator.kube.resources import Manifest

CONFIG: Final = f"{paths.CONFIG_DIRECTORY}/haproxy.cfg"

UID: Final = 65532
"""User of the container: no one whom an image of a job or a build, or the daemon's, has files of."""


def container(name: str, command: list[str], group: int, builder: BuildKitBuilder, platform: Platform) -> Manifest:
    """Return the container as a native sidecar (KEP-753), without what it mounts and its hooks.

    Pod Security level restricted admits it.
    """
    said = builder.injection.connector
    resources = said.resources if said and said.resources.is_set else platform.connector_resources
    return {
        "name": name,
        "image": platform.connector_image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "resources": resources.rendered(),
        "securityContext": {
            "runAsUser": UID,
            "runAsGroup": group,
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "restartPolicy": "Always",
    }
