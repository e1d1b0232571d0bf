"""Builder instances of buildx, as it keeps them in files of its own (buildx's store/nodegroup.go)."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any, Final

import tomli_w

from buildkit_operator.api.architectures import Architecture
from buildkit_operator.desired import paths

BUILDER: Final = "buildkit"
"""The instance that builds; buildx.sh describes it."""

REGISTRIES: Final = "registries"
"""The instance that knows the registries, and builds nothing."""

REGISTRIES_FILE: Final = f"{REGISTRIES}.json"

ARCHITECTURES_FILE: Final = "architectures"
"""By which buildx.sh knows that the instance has several nodes, and which."""


def architectures(listed: Sequence[Architecture]) -> dict[str, str]:
    """Return the file of the architectures that there are sockets for, with commas; none where there is one socket."""
    return {ARCHITECTURES_FILE: ",".join(listed) + "\n"} if listed else {}


def registries(tables: dict[str, Any]) -> dict[str, str]:
    """Return the file of the instance for `docker buildx imagetools --builder registries`; none where it is not needed.

    imagetools asks registries itself, not through the daemon. What it goes by is the buildkitd.toml that an instance
    was created with, and the driver that leads to our socket refuses to build with such a file: so it is an instance
    of its own. `tables` is the table `registry` of buildkitd.toml.
    """
    if not tables:
        return {}
    toml = tomli_w.dumps({"registry": tables}).encode()
    files = {"buildkitd.toml": base64.b64encode(toml).decode()}
    node = {"Name": f"{REGISTRIES}0", "Endpoint": paths.SOCKET, "Files": files}
    instance = {"Name": REGISTRIES, "Driver": "remote", "Nodes": [node], "Dynamic": False}
    return {REGISTRIES_FILE: json.dumps(instance) + "\n"}
