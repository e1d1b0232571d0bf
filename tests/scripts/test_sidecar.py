"""run.sh and started.sh as a sidecar's, run for real: the container never ends by itself, and the job sees a socket."""

import json
import os
import signal
import socket
import stat
from functools import partial
from pathlib import Path

import pytest

from tests.scripts.container import SHORT_PAUSES, Container, wait_for

LISTENS = """
echo start >> $HERE/starts
python3 -c "
import os, socket, time
server = socket.socket(socket.AF_UNIX)
os.umask(0o177)
server.bind('$HERE/buildkitd.sock')
server.listen()
print('listening', flush=True)
time.sleep(60)
"
"""
"""A daemon that opens its socket for itself alone, as buildkitd does, and runs."""

CLOSES_ITS_SOCKET = """
python3 -c "
import os, socket, time
server = socket.socket(socket.AF_UNIX)
server.bind('$HERE/buildkitd.sock')
server.listen()
time.sleep(0.3)
os.chmod('$HERE/buildkitd.sock', 0o660)
open('$HERE/serving', 'w').close()
time.sleep(60)
"
"""

FAILS_BEHIND_ITS_SOCKET = """
echo start >> $HERE/starts
python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('$HERE/buildkitd.sock')"
/bin/sleep 0.2
echo 'buildkitd: unknown snapshotter name' >&2
for line in $(seq 24); do echo "	github.com/moby/buildkit/cmd/buildkitd/main_oci_worker.go:$line" >&2; done
exit 1
"""


@pytest.fixture(autouse=True)
def answers(container: Container) -> None:
    """Have every daemon answer that listens."""
    container.install("buildctl", "exec test -S $HERE/buildkitd.sock")


def ready(container: Container) -> bool:
    return (container.notes / "ready").exists()


def starts(container: Container) -> int:
    file = container.folder / "starts"
    return file.read_text().count("start") if file.exists() else 0


def kill_daemon(container: Container) -> None:
    """Kill the daemon, by the process that listens."""
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(container.socket))
    credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    client.close()
    os.kill(int.from_bytes(credentials[:4], "little"), signal.SIGKILL)


def test_the_socket_is_opened_to_every_uid(container: Container) -> None:
    container.install("rootlesskit", LISTENS)
    container.start_daemon("always")
    wait_for(lambda: ready(container))

    assert stat.S_IMODE(container.socket.stat().st_mode) == 0o666


def test_the_socket_is_opened_to_every_uid_after_the_daemon_has_closed_it(container: Container) -> None:
    """The daemon sets the mode when others may have seen its socket already; a busy machine makes it a while."""
    container.install("rootlesskit", CLOSES_ITS_SOCKET)
    container.install("buildctl", "until test -e $HERE/serving; do sleep 0.01; done")
    container.start_daemon("always")
    wait_for(lambda: ready(container))

    assert stat.S_IMODE(container.socket.stat().st_mode) == 0o666


def test_a_daemon_that_dies_is_started_again_and_its_socket_opened_again(container: Container) -> None:
    container.install("rootlesskit", LISTENS)
    process = container.start_daemon("always")

    for count in range(1, 4):
        wait_for(lambda count=count: starts(container) == count and ready(container))  # type: ignore[misc]
        assert stat.S_IMODE(container.socket.stat().st_mode) == 0o666
        kill_daemon(container)

    wait_for(lambda: starts(container) == 4)
    assert process.poll() is None


def test_a_stop_ends_with_0_at_once_and_does_not_wait_for_the_daemon(container: Container) -> None:
    container.install("rootlesskit", f"trap '' TERM\n{LISTENS}")
    process = container.start_daemon("always")
    wait_for(lambda: ready(container))

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=10) == 0


def test_a_stop_ends_with_0_while_a_daemon_that_served_the_job_is_down(container: Container) -> None:
    container.install("rootlesskit", f"[ ! -e $HERE/starts ] || {{ echo start >> $HERE/starts; exit 1; }}\n{LISTENS}")
    process = container.start_daemon("always")
    wait_for(lambda: ready(container))
    kill_daemon(container)
    wait_for(lambda: starts(container) == 3)

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=10) == 0


@pytest.mark.parametrize(
    ("program", "body"),
    [
        pytest.param("chgrp", "touch $HERE/begun; sleep 0.5", id="before-the-first"),
        pytest.param("rootlesskit", "trap '' TERM\ntouch $HERE/begun\nwhile :; do sleep 0.02; done", id="hangs"),
        # After the third crash it waits for nine seconds.
        pytest.param(
            "rootlesskit",
            "echo start >> $HERE/starts; [ $(wc -l < $HERE/starts) -lt 3 ] || touch $HERE/begun; exit 1",
            id="crashes",
        ),
    ],
)
def test_a_stop_of_what_never_came_up_is_a_failure_at_once(container: Container, program: str, body: str) -> None:
    container.install(program, body)
    process = container.start_daemon("always")
    wait_for((container.folder / "begun").exists)

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=10) == 1


def test_the_log_is_passed_on_whole_however_long(container: Container) -> None:
    container.install("rootlesskit", "seq 1000; printf 'no line break'; sleep 0.5; touch $HERE/written; sleep 60")
    process = container.start_daemon("always")
    wait_for((container.folder / "written").exists)
    process.send_signal(signal.SIGTERM)
    container.end()

    assert container.output(process) == "".join(f"{number}\n" for number in range(1, 1001)) + "no line break"
    assert len((container.notes / "log").read_text().splitlines()) == 100


def test_each_container_gets_a_buildx_directory_that_anyone_can_write(container: Container) -> None:
    container.install("rootlesskit", LISTENS)
    container.start_daemon("always", BUILDX_CONTAINERS="build,helper")
    wait_for(lambda: ready(container))

    for name in ("build", "helper"):
        directory = container.folder / "buildx" / name
        instance = json.loads((directory / "instances" / "buildkit").read_text())
        assert instance["Driver"] == "remote"
        assert instance["Nodes"] == [{"Name": "buildkit0", "Endpoint": f"unix://{container.socket}"}]
        for path in (directory, *directory.rglob("*")):
            assert stat.S_IMODE(path.stat().st_mode) == (0o777 if path.is_dir() else 0o666)


def gone(file: Path) -> bool:
    return not file.exists()


def test_the_time_of_the_last_use_is_no_secret_of_the_user_who_built_last(container: Container) -> None:
    container.install("rootlesskit", LISTENS)
    container.start_daemon("always", BUILDX_CONTAINERS="build,helper")
    wait_for(lambda: ready(container))

    for name in ("build", "helper"):
        # As buildx does it: a file of one user's, put into its place when it is written.
        folder = container.folder / "buildx" / name / "activity"
        (folder / ".tmp-buildkit1").write_text("now")
        (folder / ".tmp-buildkit1").rename(folder / "buildkit")
        (folder / ".tmp-buildkit2").touch()
        wait_for(partial(gone, folder / "buildkit"))
        assert (folder / ".tmp-buildkit2").exists()


def test_registries_are_told_to_buildx_where_the_builder_knows_some(container: Container) -> None:
    (container.folder / "registries.json").write_text("registries\n")
    container.install("rootlesskit", LISTENS)
    container.start_daemon("always", BUILDX_CONTAINERS="build")
    wait_for(lambda: ready(container))

    assert (container.folder / "buildx/build/instances/registries").read_text() == "registries\n"


def test_what_a_job_keeps_for_buildx_survives_a_crash(container: Container) -> None:
    container.install("rootlesskit", LISTENS)
    container.start_daemon("always", BUILDX_CONTAINERS="build")
    wait_for(lambda: ready(container))
    mine = container.folder / "buildx" / "build" / "instances" / "buildkit"
    mine.write_text("changed by the job")

    kill_daemon(container)
    wait_for(lambda: starts(container) == 2 and ready(container))

    assert mine.read_text() == "changed by the job"


# started.sh


def started(container: Container, seconds: int, log: Path) -> tuple[int, str]:
    return container.run("started.sh", str(seconds), str(container.notes), str(log))


def test_the_job_may_start_when_the_daemon_can_be_used(container: Container, tmp_path: Path) -> None:
    container.install("rootlesskit", f"sleep 0.3\n{LISTENS}")
    container.start_daemon("always")

    assert started(container, 10, tmp_path / "termination-log") == (0, "")
    assert container.socket.exists()


def test_a_daemon_that_never_comes_up_fails_with_its_last_lines(container: Container, tmp_path: Path) -> None:
    container.install("rootlesskit", "echo 'newuidmap: write to uid_map failed' >&2; exit 1")
    container.install("sleep", SHORT_PAUSES)
    process = container.start_daemon("always")

    code, output = started(container, 10, tmp_path / "termination-log")

    assert code == 1
    assert "newuidmap: write to uid_map failed" in output
    assert (tmp_path / "termination-log").read_text() == output
    assert process.poll() is None


def test_a_socket_alone_does_not_let_the_job_start(container: Container, tmp_path: Path) -> None:
    container.install("rootlesskit", FAILS_BEHIND_ITS_SOCKET)
    container.install("buildctl", "exit 1")
    container.install("sleep", SHORT_PAUSES)
    container.start_daemon("always")

    code, output = started(container, 10, tmp_path / "termination-log")

    assert code == 1
    assert "buildkitd: unknown snapshotter name" in output
    assert starts(container) >= 3


@pytest.mark.parametrize("seconds", [0, 1])
def test_a_daemon_that_hangs_fails_at_the_deadline(container: Container, tmp_path: Path, seconds: int) -> None:
    container.install("rootlesskit", "echo waiting for something; sleep 60")
    container.start_daemon("always")
    wait_for(lambda: (container.notes / "log").exists() and (container.notes / "log").read_text() != "")

    assert started(container, seconds, tmp_path / "termination-log") == (1, "waiting for something\n")
