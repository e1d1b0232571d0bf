"""Pods that stay, in which a benchmark runs one command after the other, and what their processes have used."""

import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from buildkit_operator.api import names
from buildkit_operator.kube.resources import Manifest
from hack.cluster import pins
from hack.cluster.kubectl import Kubectl, wait_for
from tests.support.runners import LABEL

CLEAR_SECONDS: Final = 600
"""How long pods may take to go; a controller manager that has just lost its API server takes minutes to delete them."""

WORK: Final[Manifest] = {"name": "work", "mountPath": "/work"}

_USAGE: Final = """
cat /proc/[0-9]*/stat 2>/dev/null
cat /proc/[0-9]*/status 2>/dev/null
cd /sys/fs/cgroup
if [ -e memory.current ]; then
  cat memory.current memory.stat
else
  cat memory/memory.usage_in_bytes memory/memory.stat
fi
"""


@dataclass(frozen=True)
class Usage:
    """What the processes of one name, and their container, have taken so far."""

    cpu: float
    """Seconds of processor time."""
    resident: float
    """Resident memory of all of them, in MiB; pages of the program's file count in each."""
    own: float
    """Of it what is in no file, in MiB."""
    peak: float
    """The most that each of them was, added up, in MiB."""
    working_set: float
    """The container's as the kubelet has it, in MiB: without what could be dropped."""

    @classmethod
    def of(cls, text: str, name: str, ticks: int = 100) -> "Usage":
        """Read it off what `_USAGE` prints. A processor's second has 100 ticks wherever Linux tells them to users."""
        stats = re.findall(rf"^\d+ \({re.escape(name)}\) \S(?: \S+){{10}} (\d+) (\d+) ", text, re.MULTILINE)
        statuses = re.split(r"^(?=Name:)", text, flags=re.MULTILINE)
        mine = [status for status in statuses if status.startswith(f"Name:\t{name}\n")]
        charged = re.search(r"^(\d+)$", text, re.MULTILINE)
        inactive = re.search(r"^total_inactive_file (\d+)$", text, re.MULTILINE) or re.search(
            r"^inactive_file (\d+)$", text, re.MULTILINE
        )
        assert stats, f"no process {name}:\n{text}"
        assert charged, f"no memory of the container:\n{text}"
        return cls(
            sum(int(user) + int(system) for user, system in stats) / ticks,
            _mebibytes(mine, "VmRSS"),
            _mebibytes(mine, "RssAnon"),
            _mebibytes(mine, "VmHWM"),
            (int(charged[1]) - (int(inactive[1]) if inactive else 0)) / 2**20,
        )


def _mebibytes(statuses: list[str], field: str) -> float:
    found = (re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE) for status in statuses)
    return sum(int(match[1]) for match in found if match) / 1024


def usage(team: Kubectl, pod: str, container: str, process: str) -> Usage:
    """Return what the processes of this name in a container have used."""
    return Usage.of(team("exec", pod, f"--container={container}", "--", "sh", "-c", _USAGE), process)


@contextmanager
def own_namespace(kubectl: Kubectl, name: str) -> Iterator[Kubectl]:
    """Have a namespace within the block.

    Its pods go before it: else Kubernetes looks at it again only after half of the time that a daemon may take to end.
    """
    team = kubectl.create_namespace(name)
    try:
        yield team
    finally:
        clear(team)
        kubectl("delete", "namespace", name, timeout=CLEAR_SECONDS)


def clear(team: Kubectl) -> None:
    """Delete a namespace's builders and pods, and wait until they are gone."""
    team("delete", "bkb", "--all")
    team("delete", "pods", "--all", "--grace-period=1", "--wait=false")
    wait_for("all pods are gone", lambda: not team.get("pods"), CLEAR_SECONDS)


@dataclass(frozen=True)
class ClientPod:
    """A pod in which builds are started one by one."""

    team: Kubectl
    name: str

    @classmethod
    def start(
        cls,
        team: Kubectl,
        asks_for: str | None,
        *,
        connection: str,
        job: Manifest | None = None,
        annotations: Mapping[str, str] | None = None,
        wait: bool = True,
        **spec: Any,
    ) -> "ClientPod":
        """Start it, with the connection Secret of this builder, and with the label where it asks for one."""
        client = cls(team, f"client-{uuid.uuid4().hex[:8]}")
        container = {
            "name": "job",
            "image": pins.BUILDKIT_IMAGE,
            "command": ["sleep", "infinity"],
            "volumeMounts": [{"name": "connection", "mountPath": "/etc/buildkit"}, WORK],
            **(job or {}),
        }
        volumes = [
            {"name": "connection", "secret": {"secretName": names.connection_secret(connection)}},
            {"name": "work", "emptyDir": {}},
            *spec.pop("volumes", ()),
        ]
        labels = {LABEL: asks_for} if asks_for else {}
        pod_spec = {"terminationGracePeriodSeconds": 1, "containers": [container], "volumes": volumes, **spec}
        metadata = {"name": client.name, "labels": labels, "annotations": dict(annotations or {})}
        team.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec})
        if wait:
            client.wait_ready()
        return client

    def wait_ready(self) -> None:
        """Wait until commands can be run in it."""
        self.team("wait", "--for=condition=Ready", f"pod/{self.name}", "--timeout=120s", timeout=130)

    def run(self, script: str) -> str:
        """Run a script to its end, and return what it prints."""
        return self.team("exec", self.name, "--container=job", "--", "sh", "-ec", script, timeout=600)

    def time(self, command: str) -> float:
        """Return the seconds that a command takes, by the pod's own clock."""
        said = self.run(
            f"read a _ </proc/uptime; {command} >/tmp/log 2>&1 || {{ cat /tmp/log >&2; exit 1; }}; "
            "read b _ </proc/uptime; echo took $a $b"
        )
        begin, end = re.findall(r"took (\S+) (\S+)", said)[0]
        return float(end) - float(begin)

    def end(self) -> None:
        """Delete the pod, and wait until it is gone."""
        self.team("delete", "pod", self.name, "--grace-period=1", timeout=120)
