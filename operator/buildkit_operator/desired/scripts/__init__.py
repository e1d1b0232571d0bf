"""The shell scripts that run in our containers, as they are mounted there."""

from collections.abc import Iterable
from importlib.resources import files
from typing import Final


def _read(names: Iterable[str]) -> dict[str, str]:
    return {name: files(__name__).joinpath(name).read_text() for name in names}


BUSY: Final = "drain.sh: builds run"
SILENT: Final = "drain.sh: no answer"
"""What drain.sh leaves in the container's termination log while it waits."""

CACHE_BROKEN: Final = "mend.sh: the cache is broken and was moved aside: "
"""How mend.sh begins to say so there; the cause follows."""

SCRIPTS: Final = _read(
    (
        *("run.sh", "ready.sh", "drain.sh", "started.sh", "buildx.sh", "activity.sh", "own.sh", "ids.sh", "runc.sh"),
        "mend.sh",
    )
)
"""The daemon's, file name to text. All in both modes: while the mode changes, daemons of the other one still end."""

CONNECTOR_SCRIPTS: Final = _read(
    ("connect.sh", "haproxy.sh", "connected.sh", "buildx.sh", "grpc.lua", "greet.lua", "prune.lua")
)
"""The connector's, likewise."""

FRONT_SCRIPTS: Final = _read(("front.sh", "haproxy.sh", "grpc.lua", "front.lua"))
"""The front's, likewise."""
