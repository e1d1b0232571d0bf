"""What one cluster has changed on this machine, written down before it is changed, so that it can always be undone."""

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from hack.cluster import host
from hack.cluster.problems import ClusterError

DEFAULT_NAME: Final = "buildkit-operator"
# The name becomes part of a socket's path, which may have 107 characters, and of a container's host name.
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,28}[a-z0-9])?")


class BadNameError(ClusterError):
    """$CLUSTER_NAME is not usable as the name of a cluster."""


@dataclass(frozen=True)
class State:
    """The record of one cluster of ours."""

    name: str
    # Of the private engine; the cluster may also be run by the user's.
    private: bool = False
    store: str = ""
    sysctls: dict[str, str] = field(default_factory=dict)
    supervisor: host.Process | None = None
    # Whether `up` came to its end.
    complete: bool = False

    @property
    def cgroup(self) -> str:
        """The cgroup of the private engine's containers."""
        return self.name

    @property
    def folder(self) -> Path:
        """Where this record, the kubeconfig and the private engine's sockets are."""
        return root() / self.name

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "kubeconfig"

    def save(self) -> None:
        """Write the record, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self.folder / "state.json.new"
        new.write_text(json.dumps(asdict(self), indent=2) + "\n")
        new.rename(self.folder / "state.json")

    def forget(self) -> None:
        """Delete the record and everything beside it."""
        shutil.rmtree(self.folder)


def root() -> Path:
    """Return the user's folder of clusters' records, which belongs to no checkout."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "buildkit-operator"


def name() -> str:
    """Return the name of the cluster that is meant. Raises BadNameError."""
    chosen = os.environ.get("CLUSTER_NAME", DEFAULT_NAME)
    if not _NAME.fullmatch(chosen):
        raise BadNameError(f'CLUSTER_NAME="{chosen}" must be 1 to 30 lower-case letters, digits and dashes.')
    return chosen


def load(name: str) -> State | None:
    """Return the record of the cluster of this name, or None where there is none."""
    try:
        record = json.loads((root() / name / "state.json").read_text())
    except FileNotFoundError:
        return None
    if record["supervisor"] is not None:
        record["supervisor"] = host.Process(**record["supervisor"])
    return State(**record)
