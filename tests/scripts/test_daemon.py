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


def test_the_daemon_is_told_its_platform_where_there_is_one(container: Container) -> None:
    container.install("rootlesskit", 'echo "$@"')
    more = (str(container.folder / "told"), "", "linux/arm64")

    said = container.run("run.sh", *container.daemon_arguments("once"), *more)

    assert said == (0, "buildkitd --config buildkitd.toml --oci-worker-platform linux/arm64\n")


def test_authorities_are_trusted_beside_the_public_ones_by_go_and_by_git(container: Container) -> None:
    authorities, public = container.folder / "authorities", container.folder / "public.crt"
    authorities.mkdir()
    public.write_text("public\n")
    (authorities / "0.crt").write_text("without an end of line")
    (authorities / "1.crt").write_text("second\n")
    container.install("git", 'echo "$GIT_SSL_CAINFO: $*"; cat "$GIT_SSL_CAINFO"')
    # BuildKit passes Git the daemon's PATH, and nothing else that would help.
    container.install("rootlesskit", 'echo "$SSL_CERT_DIR"; env -i PATH="$PATH" git fetch "a b"')

    arguments = [*container.daemon_arguments("once"), "/dev/null", str(authorities)]
    code, said = container.run("run.sh", *arguments, SSL_CERT_FILE=str(public))

    assert code == 0
    assert said.splitlines()[:2] == [
        f"/etc/ssl/certs:/etc/pki/tls/certs:{authorities}",
        f"{container.notes}/authorities.crt: fetch a b",
    ]
    assert said.splitlines()[2:] == ["public", "", "without an end of line", "second", ""]


def test_without_authorities_nothing_is_changed(container: Container) -> None:
    container.install("rootlesskit", 'echo "${SSL_CERT_DIR-unset}"')

    assert container.run_daemon() == (0, "unset\n")
    assert not (container.notes / "bin").exists()


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


@pytest.mark.parametrize(
    ("version", "is_told"),
    [
        ("buildkitd github.com/moby/buildkit v0.34.2 7c9a1d9c1e5e", True),
        ("buildkitd github.com/moby/buildkit v0.20.0-rc1 7c9a1d9c1e5e", True),
        ("buildkitd github.com/moby/buildkit v1.0.0 7c9a1d9c1e5e", True),
        ("buildkitd github.com/moby/buildkit v0.19.0 7c9a1d9c1e5e", False),
        ("buildkitd github.com/moby/buildkit v0.9.3 7c9a1d9c1e5e", False),
        ("buildkitd of our own", False),
    ],
)
def test_a_daemon_that_can_is_asked_for_its_metrics(container: Container, version: str, is_told: bool) -> None:  # noqa: FBT001
    container.install("buildkitd", f"echo {version}")
    container.install("rootlesskit", 'echo "$@" > $HERE/arguments')
    container.run_daemon()

    told = (container.folder / "arguments").read_text().split()[3:]
    assert told == (["--debugaddr", f"unix://{container.folder}/debug.sock"] if is_told else [])


def test_the_metrics_are_open_to_the_front_which_is_of_the_daemons_group(container: Container) -> None:
    container.install("buildkitd", "echo buildkitd github.com/moby/buildkit v0.34.2 7c9a1d9c1e5e")
    container.install(
        "rootlesskit",
        "python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('$HERE/debug.sock')\"\n"
        "while :; do /bin/sleep 0.02; done",
    )
    container.start_daemon()

    socket = container.folder / "debug.sock"
    wait_for(lambda: socket.exists() and stat.S_IMODE(socket.stat().st_mode) == 0o660)


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


def test_ready_waits_for_what_takes_connections_for_the_daemon(container: Container) -> None:
    container.install("buildctl", "touch $HERE/asked")
    front = container.folder / "front"
    front.mkdir()
    process = container.start("ready.sh", "60", str(container.notes), str(front))
    wait_for((container.folder / "asked").exists)
    time.sleep(0.2)
    assert process.poll() is None
    assert not (container.notes / "ready").exists()

    (front / "processes").touch()

    assert process.wait(10) == 0
    assert (container.notes / "ready").exists()


def test_ready_says_that_nothing_takes_connections(container: Container) -> None:
    container.install("buildctl", "exit 0")

    code, said = container.run("ready.sh", "0", str(container.notes), str(container.folder / "front"))

    assert code == 1
    assert "nothing takes connections for the daemon yet" in said


def test_ready_gives_up_at_its_deadline(container: Container) -> None:
    container.install("buildctl", "exit 1")

    assert container.run("ready.sh", "1")[0] == 1


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

    assert container.run("drain.sh", "1") == (1, "drain.sh: builds still run after 1 s, and are lost\n")


def test_drain_does_not_complain_when_the_last_build_ended_at_the_deadline(container: Container) -> None:
    fast_sleep(container)
    container.install("buildctl", "echo COMPLETE")

    assert container.run("drain.sh", "0") == (0, "")


def test_nothing_is_done_after_the_last_look(container: Container) -> None:
    container.install("sleep", "echo sleep >> $HERE/order; exec /bin/sleep 0.01")
    container.install("buildctl", "echo look >> $HERE/order; echo COMPLETE")

    container.run("drain.sh", "900")

    assert (container.folder / "order").read_text().endswith("look\n")


FAILS = "echo STARTED >&2; exit 1"
HANGS = "exec /bin/sleep 60"


@pytest.mark.parametrize("counted", ["1 0", "0 1"], ids=["builds", "waiting"])
def test_drain_waits_for_clients_whose_build_the_daemon_does_not_know_yet(container: Container, counted: str) -> None:
    container.install("buildctl", "echo >> $HERE/looks; echo COMPLETE")
    container.install("sleep", "exec /bin/sleep 0.02")
    front = container.folder / "front"
    front.mkdir()
    (front / "7").write_text("0 0\n")
    (front / "8").write_text(f"{counted}\n")
    (front / "8.new").write_text("1 1\n")
    (front / "processes").write_text("7 2\n8 2\n")
    (front / "draining").touch()
    process = container.start("drain.sh", "900", "", "", str(front))
    wait_for(lambda: (container.folder / "looks").exists() and len((container.folder / "looks").read_text()) > 20)
    assert process.poll() is None

    (front / "8").write_text("0 0\n")

    assert process.wait(10) == 0


def test_drain_waits_until_the_front_takes_no_more_connections(container: Container) -> None:
    container.install("buildctl", "echo >> $HERE/looks; echo COMPLETE")
    container.install("sleep", "exec /bin/sleep 0.02")
    front = container.folder / "front"
    front.mkdir()
    (front / "7").write_text("0 0\n")
    process = container.start("drain.sh", "900", "", "", str(front))
    wait_for(lambda: (container.folder / "looks").exists() and len((container.folder / "looks").read_text()) > 20)
    assert process.poll() is None, "a build may come yet"

    before = len((container.folder / "looks").read_text())
    (front / "draining").touch()

    assert process.wait(10) == 0
    assert len((container.folder / "looks").read_text()) >= before + 1


def test_drain_says_that_clients_were_still_there(container: Container) -> None:
    container.install("buildctl", "echo COMPLETE")
    front = container.folder / "front"
    front.mkdir()
    (front / "7").write_text("2 0\n")

    code, said = container.run("drain.sh", "0", "", "", str(front))

    assert code == 1
    assert "clients are still connected after 0 s; builds of theirs are lost" in said


@pytest.mark.parametrize("silence", [FAILS, HANGS])
def test_silence_is_waited_for_to_the_end_and_told(container: Container, silence: str) -> None:
    fast_sleep(container)
    container.install("buildctl", silence)
    begin = time.monotonic()

    assert container.run("drain.sh", "2") == (
        1,
        "drain.sh: the daemon does not answer after 2 s; builds that it runs are lost\n",
    )
    assert time.monotonic() - begin >= 1


@pytest.mark.parametrize("looks", ["[1-5]", "[246]"])
def test_looks_without_an_answer_are_no_quiet_looks(container: Container, looks: str) -> None:
    fast_sleep(container)
    container.install(
        "buildctl",
        f"""
        echo look >> $HERE/looks
        case $(wc -l < $HERE/looks) in {looks}) exit 1;; *) echo COMPLETE;; esac
        """,
    )

    assert container.run("drain.sh", "900") == (0, "")
    silent = int(looks.strip("[]")[-1])
    assert (container.folder / "looks").read_text() == "look\n" * (silent + 5)


def test_a_build_among_many_is_seen(container: Container) -> None:
    fast_sleep(container)
    container.install("buildctl", "yes COMPLETE | head -5000; echo STARTED; yes COMPLETE | head -5000")

    assert container.run("drain.sh", "1")[0] == 1


def test_a_daemon_that_never_came_up_is_not_waited_for(container: Container) -> None:
    container.install("buildctl", "exit 1")

    assert container.run("drain.sh", "900", str(container.notes)) == (0, "")


def test_a_daemon_that_came_up_and_fell_silent_is_waited_for(container: Container) -> None:
    fast_sleep(container)
    container.install("buildctl", 'test "$*" = "debug workers"')
    assert container.run("ready.sh", "1", str(container.notes))[0] == 0

    assert container.run("drain.sh", "1", str(container.notes))[0] == 1


def left(container: Container, program: str, seconds: str) -> str:
    """Return what a drain of a daemon that answers like this leaves in the container's termination log."""
    fast_sleep(container)
    container.install("buildctl", program)
    log = container.folder / "termination-log"
    log.touch()
    (container.notes / "ready").touch()
    container.run("drain.sh", seconds, str(container.notes), str(log))
    return log.read_text()


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("echo STARTED", "drain.sh: builds run"),
        ("exit 1", "drain.sh: no answer"),
        ("mkdir $HERE/seen 2>/dev/null && echo STARTED; true", ""),
    ],
)
def test_the_container_tells_what_its_daemon_was_doing(container: Container, program: str, words: str) -> None:
    assert left(container, program, "1") == words


CLOCK_THAT_LEAPS = "echo tick >> $HERE/ticks; echo $(($(wc -l < $HERE/ticks) * $(wc -l < $HERE/ticks) * 3600))"


@pytest.mark.parametrize(("script", "program"), [("drain.sh", "echo STARTED"), ("ready.sh", "exit 1")])
def test_a_clock_that_leaps_ends_no_wait(container: Container, script: str, program: str) -> None:
    fast_sleep(container)
    container.install("date", CLOCK_THAT_LEAPS)
    container.install("buildctl", program)
    begin = time.monotonic()

    assert container.run(script, "3")[0] == 1
    assert time.monotonic() - begin > 1


@pytest.mark.parametrize(("script", "program"), [("drain.sh", "echo STARTED"), ("ready.sh", "exit 1")])
def test_a_clock_that_is_set_back_makes_no_wait_longer(container: Container, script: str, program: str) -> None:
    fast_sleep(container)
    container.install("date", "if mkdir $HERE/asked 2>/dev/null; then echo 2000000000; else echo 1000000000; fi")
    container.install("buildctl", program)

    assert container.run(script, "1")[0] == 1


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
