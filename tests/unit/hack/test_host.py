import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hack.cluster import host

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@contextmanager
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_sysctl_that_a_kubelet_has_set_is_put_back() -> None:
    before = {"kernel.panic": "0", "vm.overcommit_memory": "1"}
    now = {"kernel.panic": "10", "vm.overcommit_memory": "1"}

    assert host.changed(before, now) == {"kernel.panic": "0"}


def test_a_sysctl_that_somebody_else_has_set_meanwhile_is_theirs() -> None:
    assert host.changed({"kernel.panic": "0"}, {"kernel.panic": "30"}) == {}


def test_a_sysctl_that_the_kernel_no_longer_has_is_left() -> None:
    assert host.changed({"kernel.panic": "0"}, {}) == {}


def test_the_recorded_sysctls_are_those_that_this_kernel_has() -> None:
    assert host.sysctls().keys() <= host.KUBELET_SYSCTLS.keys()
    assert host.sysctls()["kernel.panic"] == Path("/proc/sys/kernel/panic").read_text().strip()


def test_a_process_is_known_by_more_than_its_id() -> None:
    with sleeper() as started:
        process = host.process(started.pid)

        assert process.alive()
        assert not replace(process, started=process.started + 1).alive()
        assert not replace(process, boot="another").alive()


def test_a_later_process_of_the_same_id_is_not_killed() -> None:
    with sleeper() as started:
        replace(host.process(started.pid), started=1).kill(signal.SIGKILL)

        assert started.poll() is None


def test_a_process_that_has_ended_is_waited_for_even_as_a_zombie() -> None:
    with sleeper() as started:
        process = host.process(started.pid)
        assert not process.wait(0)

        process.kill(signal.SIGKILL)

        assert process.wait(5)


def test_no_process_has_no_identity() -> None:
    with sleeper() as started:
        pass

    with pytest.raises(ProcessLookupError):
        host.process(started.pid)


def test_who_has_a_port_is_named() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port: int = listener.getsockname()[1]

        assert (host.port_holder(port) or "").startswith(f"process {os.getpid()} (")
    assert host.port_holder(port) is None


def test_a_root_that_lists_its_controllers_is_of_cgroup_v2(tmp_path: Path) -> None:
    assert host.has_cgroup_v1(tmp_path)

    (tmp_path / "cgroup.controllers").touch()
    assert not host.has_cgroup_v1(tmp_path)


def test_a_cgroup_is_removed_with_those_below_it_in_every_hierarchy(tmp_path: Path) -> None:
    for path in ("ours", "cpu/ours/container/pod", "cpu/theirs", "memory/ours"):
        (tmp_path / path).mkdir(parents=True)

    host.remove_cgroup("ours", tmp_path)

    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "cpu",
        "cpu/theirs",
        "memory",
    ]


def test_a_cgroup_in_use_is_an_error(tmp_path: Path) -> None:
    # A folder that is not empty refuses rmdir, like a cgroup with processes.
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours/process").touch()

    with pytest.raises(OSError, match="not empty"):
        host.remove_cgroup("ours", tmp_path)
