"""The shell scripts that run in the daemon's container, as they are mounted there."""

from importlib.resources import files
from typing import Final

SCRIPTS: Final = {
    name: files(__name__).joinpath(name).read_text()
    for name in ("run.sh", "ready.sh", "drain.sh", "started.sh", "own.sh")
}
"""File name to text. All of them in both modes: while the mode changes, daemons of the other one still end."""
