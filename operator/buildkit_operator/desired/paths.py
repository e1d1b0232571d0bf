"""Mount paths in the daemon's container: the one place that scripts, configuration and volumes agree on."""

from __future__ import annotations

from typing import Final

CONFIG_DIRECTORY: Final = "/etc/buildkit-operator"
TOML: Final = f"{CONFIG_DIRECTORY}/buildkitd.toml"

RUNTIME: Final = f"{CONFIG_DIRECTORY}/runc.sh"
"""What runs build steps that have no process namespace of their own."""

CERTIFICATE_DIRECTORY: Final = "/etc/buildkit-tls"
REGISTRY_AUTHORITY_DIRECTORY: Final = "/etc/buildkit-registry-ca"
REGISTRY_CLIENT_DIRECTORY: Final = "/etc/buildkit-registry-client"
AUTHORITY_DIRECTORY: Final = "/etc/buildkit-ca"
"""Where the authorities are that the daemon trusts beside the public ones: see run.sh."""

STATE_DIRECTORY: Final = "/home/user/.local/share/buildkit"
"""Where the volume is mounted: with the image's own volume here, mounts fail on GKE's COS (moby/buildkit#879)."""

VOLUME_DIRECTORY: Final = "/volume"
"""Where the init container has the same volume: root without capabilities may not pass the daemon's home."""

ROOT: Final = f"{STATE_DIRECTORY}/root"
"""The daemon's root, a private directory in the volume: see run.sh."""

NOTES_DIRECTORY: Final = "/tmp"  # noqa: S108  of a container whose only user is the daemon's
"""Where run.sh tells started.sh, and ready.sh tells drain.sh, how the daemon is doing.

In no volume, so that a new container begins anew.
"""

TERMINATION_LOG: Final = "/dev/termination-log"
"""The kubelet's default for what a container wants to have said at its end."""

TOKEN_DIRECTORY: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105  a path
"""Where the API server mounts a ServiceAccount's token, unless something is mounted there."""

SOCKET_DIRECTORY: Final = "/run/buildkit"
"""Not the default under /run/user/1000: buildkitd closes that directory to every other uid."""

SOCKET: Final = f"unix://{SOCKET_DIRECTORY}/buildkitd.sock"


def socket_of(architecture: str) -> str:
    """Return the socket that leads to the daemons of an architecture, beside the one above."""
    return f"unix://{SOCKET_DIRECTORY}/{architecture}.sock"


DEBUG_SOCKET: Final = f"unix://{SOCKET_DIRECTORY}/debug.sock"
"""Where a shared daemon serves its metrics, beside what is for debugging."""

FRONT_DIRECTORY: Final = f"{SOCKET_DIRECTORY}/front"
"""Where the front tells drain.sh how many builds there are."""


def registry_authority(secret: str) -> str:
    """Return the file that holds the certificate authorities of a registry's Secret."""
    return f"{REGISTRY_AUTHORITY_DIRECTORY}/{secret}.crt"


def registry_client(secret: str) -> tuple[str, str]:
    """Return the files that hold the certificate of a registry's client, and its key."""
    return f"{REGISTRY_CLIENT_DIRECTORY}/{secret}.crt", f"{REGISTRY_CLIENT_DIRECTORY}/{secret}.key"
