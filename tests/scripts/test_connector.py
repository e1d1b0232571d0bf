"""The connector's scripts, run for real, with a stand-in for HAProxy that notes what it is told."""

import json
import os
import signal
import stat

import pytest

from buildkit_operator.desired.scripts import CONNECTOR_SCRIPTS
from tests.scripts.container import Container, renew, wait_for

HAPROXY = """
case " $* " in
  *" -c "*) echo check >> $HERE/calls; exec test ! -e $HERE/broken ;;
esac
echo start >> $HERE/calls
echo "$ARCH" > $HERE/arch
trap 'echo reload >> $HERE/calls' USR2
python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('$HERE/buildkitd.sock')"
echo $$ > $HERE/pid; mv $HERE/pid $HERE/haproxy.pid
while :; do /bin/sleep 0.02; done
"""


@pytest.fixture(autouse=True)
def connector(container: Container) -> Container:
    """Mount the connector's files as the kubelet does, and make its pauses short."""
    container.mount(CONNECTOR_SCRIPTS, HAPROXY)
    return container


def start(container: Container, **environment: str) -> int:
    process = container.start(
        "connect.sh", str(container.folder / "haproxy.cfg"), str(container.folder / "tls"), **environment
    )
    wait_for((container.folder / "haproxy.pid").exists)
    return process.pid


def calls(container: Container) -> list[str]:
    return (container.folder / "calls").read_text().split()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1])
def test_a_stop_ends_with_0_at_once(container: Container, signum: signal.Signals) -> None:
    start(container)
    (process,) = container.processes

    process.send_signal(signum)

    assert process.wait(timeout=10) == 0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGUSR1])
def test_a_stop_of_a_connector_that_never_came_up_is_a_failure(container: Container, signum: signal.Signals) -> None:
    container.install("haproxy", "touch $HERE/haproxy.pid; exec /bin/sleep 60")
    start(container)
    (process,) = container.processes

    process.send_signal(signum)

    assert process.wait(timeout=10) == 1


@pytest.mark.parametrize("renewed", [".", "tls"])
def test_what_is_new_is_taken_without_a_restart(container: Container, renewed: str) -> None:
    start(container)

    renew(container.folder / renewed, 2)

    wait_for(lambda: "reload" in calls(container))
    assert calls(container) == ["start", "check", "reload"]


def test_what_haproxy_would_not_take_is_not_taken_until_it_is_mended(container: Container) -> None:
    start(container)
    (container.folder / "broken").touch()

    renew(container.folder, 2)
    wait_for(lambda: calls(container).count("check") > 1)
    assert "reload" not in calls(container)

    (container.folder / "broken").unlink()
    wait_for(lambda: "reload" in calls(container))


def test_a_haproxy_that_dies_is_started_again(container: Container) -> None:
    start(container)
    (process,) = container.processes
    running = container.folder / "haproxy.pid"
    for _ in range(2):
        pid = int(running.read_text())
        running.unlink()
        os.kill(pid, signal.SIGKILL)
        wait_for(running.exists)

    assert calls(container).count("start") == 3
    assert process.poll() is None


def test_the_job_waits_for_the_socket(container: Container) -> None:
    gate = container.start("connected.sh", "5")
    assert gate.poll() is None

    start(container)

    assert gate.wait(timeout=10) == 0


def test_the_gate_gives_up(container: Container) -> None:
    assert container.run("connected.sh", "0") == (1, "")


def test_a_socket_of_the_container_before_is_not_taken_for_this_ones(container: Container) -> None:
    container.socket.touch()
    container.install("haproxy", "touch $HERE/haproxy.pid; exec /bin/sleep 60")

    start(container)

    assert not container.socket.exists()


def test_buildx_is_offered_to_the_containers_that_want_it(container: Container) -> None:
    start(container, BUILDX_CONTAINERS="job,other")

    for name in ("job", "other"):
        described = (container.folder / "buildx" / name / "instances/buildkit").read_text()
        assert f"unix://{container.socket}" in described


@pytest.mark.parametrize(
    ("machine", "architecture"),
    [("x86_64", "amd64"), ("aarch64", "arm64"), ("ppc64le", "ppc64le"), ("s390x", "s390x")],
)
def test_haproxy_knows_the_architecture_of_its_node(container: Container, machine: str, architecture: str) -> None:
    container.install("uname", f"echo {machine}")
    start(container)

    assert (container.folder / "arch").read_text() == f"{architecture}\n"


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("aarch64", ["arm64", "amd64", "s390x"]),
        ("x86_64", ["amd64", "arm64", "s390x"]),
        ("arm", ["amd64", "arm64", "s390x"]),
    ],
)
def test_buildx_has_a_node_for_each_architecture_that_of_the_jobs_own_first(
    container: Container, machine: str, expected: list[str]
) -> None:
    container.install("uname", f"echo {machine}")
    (container.folder / "architectures").write_text("amd64,arm64,s390x\n")
    start(container, BUILDX_CONTAINERS="job,other")

    for name in ("job", "other"):
        directory = container.folder / "buildx" / name
        nodes = json.loads((directory / "instances" / "buildkit").read_text())["Nodes"]
        assert [node["Platforms"] for node in nodes] == [[{"architecture": each, "os": "linux"}] for each in expected]
        assert [node["Name"] for node in nodes] == ["buildkit0", "buildkit1", "buildkit2"]
        # It goes on to lead somewhere when the architecture is taken from the builder.
        others = [f"unix://{container.folder}/{each}.sock" for each in expected[1:]]
        assert [node["Endpoint"] for node in nodes] == [f"unix://{container.socket}", *others]
        for node in nodes:
            assert stat.S_IMODE((directory / "refs" / "buildkit" / node["Name"]).stat().st_mode) == 0o777
