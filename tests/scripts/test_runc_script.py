"""runc.sh, run for real: what a step has left running ends when BuildKit deletes the step, and nothing else does."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.scripts.container import Container, wait_for

STEP = "k3xd1e3ka2fczhusbittfbxw2"


@pytest.fixture
def executor(container: Container) -> Path:
    """Return the folder that BuildKit has its steps in, with one step."""
    container.install("buildkit-runc", 'echo "$*" >> $HERE/asked')
    folder = container.folder / "executor"
    (folder / STEP / "rootfs").mkdir(parents=True)
    return folder


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Return processes that stand for what steps have left running."""
    started = [subprocess.Popen(["sleep", "60"]) for _ in range(3)]
    yield started
    for process in started:
        process.kill()
        process.wait()


def devices(container: Container, step: int, above: int, *roots: tuple[int, int]) -> None:
    """Have a step's root and the folder above it, and the roots of processes, be on these devices.

    The real ones need mounts; those of processes that have ended are not shown.
    """
    lines = "; ".join(
        f"readlink -n /proc/{pid}/root >/dev/null 2>&1 && echo '{device} /proc/{pid}/root'" for pid, device in roots
    )
    container.install(
        "stat",
        f'case "$*" in *rootfs) echo {step} ;; *{STEP}) echo {above} ;; *) {lines or ":"} ;; esac',
    )


def asked(container: Container, executor: Path, *command: str) -> list[str]:
    """Have BuildKit ask for something, and return what runc was asked for."""
    log = ["--log", str(executor / "runc-log.json"), "--log-format", "json"]
    status, output = container.run("runc.sh", *log, *command)
    assert (status, output) == (0, "")
    return (container.folder / "asked").read_text().splitlines()


def ended(process: subprocess.Popen[Any]) -> bool:
    return process.poll() is not None


def test_what_a_step_has_left_ends_with_it_and_nothing_else(
    container: Container, executor: Path, processes: list[subprocess.Popen[bytes]]
) -> None:
    one, other, outside = processes
    devices(container, 60, 8, (one.pid, 60), (other.pid, 61), (outside.pid, 8), (os.getpid(), 8))

    (said,) = asked(container, executor, "delete", STEP)

    assert said.endswith(f"delete {STEP}")
    wait_for(lambda: ended(one))
    assert not ended(other)
    assert not ended(outside)


@pytest.mark.parametrize("command", [("kill", STEP, "9"), ("state", STEP), ("exec", STEP)])
def test_nothing_ends_with_other_commands(
    container: Container, executor: Path, processes: list[subprocess.Popen[bytes]], command: tuple[str, ...]
) -> None:
    devices(container, 60, 8, (processes[0].pid, 60))

    (said,) = asked(container, executor, *command)

    assert said.endswith(" ".join(command))
    assert not ended(processes[0])


@pytest.mark.parametrize("ends", ["first process", "runc"])
def test_a_step_is_over_when_its_first_process_or_runc_ends(
    container: Container, executor: Path, processes: list[subprocess.Popen[bytes]], ends: str
) -> None:
    # The end of the first is not runc's, which waits until nobody has the step's output open any more.
    first, left, outside = processes
    devices(container, 60, 8, (left.pid, 60), (outside.pid, 8))
    container.install("buildkit-runc", f'echo "$*" >> $HERE/asked; echo {first.pid} >"$7"; exec /bin/sleep 60')
    bundle = str(executor / STEP)
    log = ("--log", str(executor / "runc-log.json"), "--log-format", "json")
    runc = container.start("runc.sh", *log, "run", "--bundle", bundle, "--keep", STEP)
    wait_for((executor / STEP / "pid").exists)
    time.sleep(0.5)
    assert not ended(left)

    if ends == "runc":
        runc.kill()
        runc.wait()
    else:
        first.kill()
        first.wait()

    wait_for(lambda: ended(left))
    assert not ended(outside)
    asked_for = f"run --pid-file {bundle}/pid --bundle {bundle} --keep {STEP}"
    assert (container.folder / "asked").read_text() == f"{' '.join(log)} {asked_for}\n"


def test_runc_is_spared_though_its_first_thread_may_have_the_root_of_its_step(
    container: Container, executor: Path, processes: list[subprocess.Popen[bytes]]
) -> None:
    first, left, _ = processes
    container.install("buildkit-runc", f'echo {first.pid} >"$7"; exec /bin/sleep 60')
    log = ("--log", str(executor / "runc-log.json"), "--log-format", "json")
    devices(container, 60, 8)
    runc = container.start("runc.sh", *log, "run", "--bundle", str(executor / STEP), "--keep", STEP)
    wait_for((executor / STEP / "pid").exists)
    devices(container, 60, 8, (runc.pid, 60), (left.pid, 60))

    first.kill()
    first.wait()

    wait_for(lambda: ended(left))
    time.sleep(0.3)
    assert not ended(runc)


def test_a_root_on_the_disk_of_all_is_no_sign(
    container: Container, executor: Path, processes: list[subprocess.Popen[bytes]]
) -> None:
    devices(container, 8, 8, (processes[0].pid, 8))

    asked(container, executor, "delete", STEP)

    assert not ended(processes[0])


def test_runc_has_another_name_in_some_images_and_its_status_counts(container: Container, executor: Path) -> None:
    (container.folder / "bin" / "buildkit-runc").unlink()
    container.install("runc", "echo $* is gone >&2; exit 7")
    (executor / STEP / "rootfs").rmdir()

    assert container.run("runc.sh", "a", "b", "c", "d", "delete", STEP) == (7, f"a b c d delete {STEP} is gone\n")
