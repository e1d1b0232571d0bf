"""The daemon container's scripts, run for real, with stand-ins for rootlesskit and buildctl that note what they see."""

import os
import signal
import stat
import time

import pytest

from tests.scripts.container import Container, wait_for

OTEL = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317", "OTEL_SERVICE_NAME": "buildkitd"}


DAEMON_THAT_ENDS_WITH_1_ON_TERM = """
trap 'echo stopped > $HERE/stopped; exit 1' TERM
touch $HERE/started
while :; do sleep 0.02; done
"""


# run.sh


def test_a_stop_ends_with_0_whatever_the_daemon_ends_with(container: Container) -> None:
    container.install("rootlesskit", DAEMON_THAT_ENDS_WITH_1_ON_TERM)
    process = container.start_daemon()
    wait_for((container.folder / "started").exists)

    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)

    assert process.returncode == 0
    assert (container.folder / "stopped").exists()


def test_a_stop_waits_for_a_daemon_that_takes_its_time(container: Container) -> None:
    container.install(
        "rootlesskit",
        "trap 'sleep 0.2; touch $HERE/stopped; exit 0' TERM\ntouch $HERE/started\nwhile :; do sleep 0.02; done",
    )
    process = container.start_daemon()
    wait_for((container.folder / "started").exists)

    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)

    assert (container.folder / "stopped").exists()


@pytest.mark.parametrize("code", [1, 42, 137])
def test_a_crash_ends_with_the_daemons_code(container: Container, code: int) -> None:
    container.install("rootlesskit", f"exit {code}")

    assert container.run_daemon()[0] == code


def test_a_daemon_that_is_killed_counts_as_a_crash(container: Container) -> None:
    container.install("rootlesskit", "kill -KILL $$")

    assert container.run_daemon()[0] == 128 + signal.SIGKILL


def test_the_daemon_is_given_its_configuration(container: Container) -> None:
    container.install("rootlesskit", 'echo "$@"')

    assert container.run_daemon() == (0, "buildkitd --config buildkitd.toml\n")


def test_the_daemons_log_is_the_containers(container: Container) -> None:
    container.install("rootlesskit", "echo out; echo err >&2; exit 3")

    assert container.run_daemon() == (3, "out\nerr\n")


def test_the_root_is_private_and_without_setgid_in_a_volume_that_has_it(container: Container) -> None:
    container.volume.chmod(0o2775)
    container.install("rootlesskit", "exit 0")

    container.run_daemon()

    assert stat.S_IMODE(container.root.stat().st_mode) == 0o700
    assert container.root.stat().st_gid == os.getgid()


def test_a_root_from_before_is_kept_and_made_private_again(container: Container) -> None:
    container.root.mkdir()
    (container.root / "cache").write_text("layers")
    container.root.chmod(0o2777)
    container.install("rootlesskit", "exit 0")

    container.run_daemon()

    assert stat.S_IMODE(container.root.stat().st_mode) == 0o700
    assert (container.root / "cache").read_text() == "layers"


def test_a_socket_of_the_daemon_before_is_gone_when_the_next_starts(container: Container) -> None:
    container.socket.touch()
    container.install("rootlesskit", f"test -e {container.socket} && exit 9; exit 0")

    assert container.run_daemon()[0] == 0


# ready.sh


def test_ready_when_the_daemon_answers(container: Container) -> None:
    container.install("buildctl", 'test "$*" = "debug workers"')

    assert container.run("ready.sh") == (0, "")


def test_not_ready_says_why_at_once_when_it_need_not_wait(container: Container) -> None:
    container.install("buildctl", "echo no such socket >&2; exit 1")

    assert container.run("ready.sh") == (1, "no such socket\n")


def test_ready_waits_for_a_daemon_that_starts(container: Container) -> None:
    container.install("buildctl", "test -e $HERE/up || { touch $HERE/up; exit 1; }")

    assert container.run("ready.sh", "5") == (0, "")


def test_ready_gives_up_at_its_deadline(container: Container) -> None:
    container.install("buildctl", "exit 1")
    begin = time.monotonic()

    assert container.run("ready.sh", "1")[0] == 1
    assert time.monotonic() - begin < 3


# drain.sh


def fast_sleep(container: Container) -> None:
    """Let drain.sh look often: what it sleeps is no part of what is tested."""
    container.install("sleep", "exec /bin/sleep 0.01")


def test_drain_ends_after_five_quiet_looks(container: Container) -> None:
    fast_sleep(container)
    container.install("buildctl", "echo look >> $HERE/looks; echo COMPLETE")

    assert container.run("drain.sh", "900") == (0, "")
    assert (container.folder / "looks").read_text() == "look\n" * 5


def test_drain_asks_for_the_type_of_each_build(container: Container) -> None:
    fast_sleep(container)
    container.install("buildctl", 'echo "$@" >> $HERE/asked')

    container.run("drain.sh", "900")

    asked = set((container.folder / "asked").read_text().splitlines())
    assert asked == {"debug histories --format {{.Type}}"}


def test_drain_waits_while_a_build_runs(container: Container) -> None:
    fast_sleep(container)
    # Two looks see a build, the third does not, the fourth sees the next one.
    container.install(
        "buildctl",
        """
        echo look >> $HERE/looks
        case $(wc -l < $HERE/looks) in 1|2|4) echo COMPLETE; echo STARTED;; *) echo COMPLETE;; esac
        """,
    )

    assert container.run("drain.sh", "900")[0] == 0
    assert (container.folder / "looks").read_text() == "look\n" * 9


def test_drain_gives_up_at_its_deadline(container: Container) -> None:
    fast_sleep(container)
    container.install("buildctl", "echo STARTED")
    begin = time.monotonic()

    assert container.run("drain.sh", "1") == (1, "drain.sh: builds still run after 1 s, and are lost\n")
    assert time.monotonic() - begin < 3


def test_drain_does_not_complain_when_the_last_build_ended_at_the_deadline(container: Container) -> None:
    fast_sleep(container)
    container.install("buildctl", "echo COMPLETE")

    assert container.run("drain.sh", "0") == (0, "")


def test_nothing_is_done_after_the_last_look(container: Container) -> None:
    container.install("sleep", "echo sleep >> $HERE/order; exec /bin/sleep 0.01")
    container.install("buildctl", "echo look >> $HERE/order; echo COMPLETE")

    container.run("drain.sh", "900")

    assert (container.folder / "order").read_text().endswith("look\n")


def test_drain_does_not_wait_for_a_daemon_that_does_not_answer(container: Container) -> None:
    fast_sleep(container)
    container.install("buildctl", "echo STARTED >&2; exit 1")

    assert container.run("drain.sh", "900")[0] == 0


@pytest.mark.parametrize(("script", "arguments"), [("ready.sh", ()), ("drain.sh", ("900",))])
def test_buildctl_sees_nothing_of_the_daemons_tracing(
    container: Container, script: str, arguments: tuple[str, ...]
) -> None:
    fast_sleep(container)
    container.install("buildctl", "env > $HERE/seen")

    container.run(script, *arguments, **OTEL, OTHER="kept")

    seen = (container.folder / "seen").read_text()
    assert "OTEL_" not in seen
    assert "OTHER=kept" in seen
    assert "BUILDKIT_HOST=unix://" in seen


def test_the_daemon_keeps_its_tracing(container: Container) -> None:
    container.install("rootlesskit", "env")

    _, output = container.run_daemon(**OTEL)

    assert "OTEL_SERVICE_NAME=buildkitd" in output
