"""The front's script, run for real, with a stand-in for HAProxy that notes what it is told."""

import os
import signal
from pathlib import Path

import pytest

from buildkit_operator.desired.scripts import FRONT_SCRIPTS
from tests.scripts.container import Container, renew, wait_for

HAPROXY = """
case " $* " in
  *" -c "*) exit ;;
esac
echo start >> $HERE/calls
trap 'echo reload >> $HERE/calls' USR2
trap 'echo drain >> $HERE/calls' USR1
echo $$ >> $HERE/front/processes
echo 0 0 > $HERE/front/$$
while :; do /bin/sleep 0.02; done
"""


@pytest.fixture(autouse=True)
def front(container: Container) -> Path:
    """Mount the front's files as the kubelet does, make its pauses short, and return its folder."""
    container.mount(FRONT_SCRIPTS, HAPROXY)
    return container.folder / "front"


def start(container: Container) -> None:
    folder = container.folder
    container.start("front.sh", "run", str(folder / "haproxy.cfg"), str(folder / "tls"), str(folder / "front"))
    wait_for(lambda: "start" in calls(container))


def drain(container: Container) -> int:
    return container.run("front.sh", "drain", str(container.folder / "front"))[0]


def calls(container: Container) -> list[str]:
    file = container.folder / "calls"
    return file.read_text().split() if file.exists() else []


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1])
def test_a_stop_ends_with_0_at_once(container: Container, signum: signal.Signals) -> None:
    start(container)
    (process,) = container.processes

    process.send_signal(signum)

    assert process.wait(timeout=1) == 0


def test_a_new_certificate_is_taken_without_a_restart(container: Container) -> None:
    start(container)

    renew(container.folder / "tls", 2)

    wait_for(lambda: calls(container) == ["start", "reload"])


def test_at_the_end_it_takes_no_more_connections_and_is_not_started_again(container: Container, front: Path) -> None:
    start(container)
    (process,) = container.processes
    wait_for((front / "processes").exists)

    assert drain(container) == 0
    wait_for(lambda: calls(container) == ["start", "drain"])
    os.kill(int((front / "haproxy.pid").read_text()), signal.SIGKILL)

    wait_for(lambda: not [file for file in front.iterdir() if file.name.isdecimal()])
    assert calls(container) == ["start", "drain"]
    assert process.poll() is None, "the daemon may still run builds"


def test_one_that_dies_is_started_again_and_counts_anew(container: Container, front: Path) -> None:
    start(container)
    (process,) = container.processes
    wait_for((front / "processes").exists)
    first = int((front / "haproxy.pid").read_text())

    os.kill(first, signal.SIGKILL)

    wait_for(lambda: calls(container) == ["start", "start"])
    wait_for(lambda: [file.name for file in front.iterdir() if file.name.isdecimal()] != [str(first)])
    assert process.poll() is None


def test_one_that_never_comes_up_is_a_failure(container: Container) -> None:
    container.install("haproxy", "echo cannot bind >&2; exit 1")
    folder = container.folder

    code, said = container.run("front.sh", "run", str(folder / "haproxy.cfg"), str(folder), str(folder / "front"))

    assert code == 1
    assert "cannot bind" in said


def test_what_a_container_before_counted_is_gone(container: Container, front: Path) -> None:
    front.mkdir()
    (front / "1").write_text("3 0\n")
    (front / "draining").touch()

    start(container)

    assert not (front / "1").exists()
    assert not (front / "draining").exists()
