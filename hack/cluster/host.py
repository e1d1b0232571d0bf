"""Host state that a cluster changes: processes, cgroups and sysctls, and how each is told from others'."""

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_SYSCTLS: Final = Path("/proc/sys")

# What a kubelet sets when it starts (pkg/kubelet/cm, setupKernelTunables). These have no namespace: a node in a
# container sets the machine's. Everything else it sets belongs to its network namespace and ends with that.
KUBELET_SYSCTLS: Final[Mapping[str, str]] = {
    "kernel.keys.root_maxbytes": "25000000",
    "kernel.keys.root_maxkeys": "1000000",
    "kernel.panic": "10",
    "kernel.panic_on_oops": "1",
    "vm.overcommit_memory": "1",
    "vm.panic_on_oom": "0",
}


@dataclass(frozen=True)
class Process:
    """A process that cannot be mistaken for a later one with the same id."""

    pid: int
    started: int  # clock ticks since the machine's boot
    boot: str

    def alive(self) -> bool:
        """Tell whether it still runs (a zombie does not)."""
        return self.boot == boot_id() and _start(self.pid) == self.started

    def kill(self, signal: int) -> None:
        """Send a signal to it, or do nothing when it has ended."""
        if self.alive():
            os.kill(self.pid, signal)

    def wait(self, seconds: float) -> bool:
        """Wait for its end; tell whether it came in time."""
        deadline = time.monotonic() + seconds
        while self.alive():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def process(pid: int) -> Process:
    """Return what identifies a running process. Raises ProcessLookupError when there is none."""
    started = _start(pid)
    if started is None:
        raise ProcessLookupError(pid)
    return Process(pid, started, boot_id())


def boot_id() -> str:
    """Return what changes when the machine starts again."""
    return (_SYSCTLS / "kernel/random/boot_id").read_text().strip()


def sysctls() -> dict[str, str]:
    """Return the present values of the sysctls that a cluster may change."""
    return {name: path.read_text().strip() for name in KUBELET_SYSCTLS if (path := _sysctl(name)).exists()}


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Return the values to put back: a sysctl that a kubelet has set since, and nobody else after it."""
    return {
        name: value
        for name, value in before.items()
        if now.get(name) == KUBELET_SYSCTLS.get(name) and value != now[name]
    }


def restore_sysctls(before: Mapping[str, str]) -> None:
    """Put back what a kubelet has changed."""
    for name, value in changed(before, sysctls()).items():
        _sysctl(name).write_text(value)


def has_cgroup_v1(root: Path = Path("/sys/fs/cgroup")) -> bool:
    """Tell whether containers here get cgroup v1: with v2, the root lists its controllers."""
    return not (root / "cgroup.controllers").exists()


def remove_cgroup(name: str, root: Path = Path("/sys/fs/cgroup")) -> None:
    """Remove the cgroup and those below it, in every hierarchy. Raises OSError while processes are in one."""
    for top in [root / name, *root.glob(f"*/{name}")]:
        if top.is_dir():
            for folder, _, _ in os.walk(top, topdown=False):
                Path(folder).rmdir()


def port_holder(port: int) -> str | None:
    """Return "process 1234 (its command line)" for who listens on a TCP port of this machine, or None."""
    inodes = {
        fields[9]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if (fields := line.split())[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port
    }
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            match = re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink()))
        except OSError:  # ended meanwhile, or another user's
            continue
        if match and match[1] in inodes:
            pid = descriptor.parts[2]
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            return f"process {pid} ({command})"
    return None


def _sysctl(name: str) -> Path:
    return _SYSCTLS / name.replace(".", "/")


def _start(pid: int) -> int | None:
    try:
        # The command's name, in parentheses, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])
