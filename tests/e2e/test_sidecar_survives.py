"""What goes wrong beside a job with a sidecar: the daemon dies, memory runs out, the operator is away."""

import re
import time
from collections.abc import Iterator

import pytest

from hack.cluster import pins
from hack.cluster.installation import OPERATOR, tags
from hack.cluster.kubectl import Kubectl, wait_for
from tests.e2e.history import ends, recorded
from tests.support.jobs import wait_ready
from tests.support.runners import BUILD, DAEMON, SOCKET, Runner, push, sidecar, step

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"


@pytest.fixture(scope="module")
def team(team_for_module: Kubectl) -> Kubectl:
    """Return a namespace with a builder that is ready."""
    team_for_module.apply(sidecar())
    wait_ready(team_for_module)
    return team_for_module


def run_in(job: Runner, container: str, script: str) -> str:
    return job.kubectl("exec", job.name, f"--container={container}", "--", "sh", "-euc", script, timeout=60)


def kill(job: Runner, program: str) -> None:
    """Kill a process of the sidecar's, and wait until the next daemon's socket is open to every uid."""
    socket = SOCKET.removeprefix("unix://")
    # By the socket's time: what a daemon has just forked still goes by its name, so that pids tell of no other daemon.
    script = f"""
old=$(stat -c %y {socket})
kill -9 $(pidof {program}) || true
until [ "$(stat -c '%a %y' {socket})" != "666 $old" ] && [ "$(stat -c %a {socket})" = 666 ]; do sleep 0.05; done
"""
    run_in(job, DAEMON, script)


# The daemon dies


def test_a_job_that_retries_ends_well_though_the_daemon_is_killed_over_and_over(team: Kubectl) -> None:
    files = {"Dockerfile": f"FROM {pins.BUSYBOX_IMAGE}\nARG SALT\nRUN printf 'turn %s\\n' $SALT && sleep 2\n"}
    build = f"{BUILD} --opt build-arg:SALT=$turn {push('killed-$turn')}"
    build = f"until {build}; do echo lost; sleep 0.2; done"
    # Six turns, and more until no daemon is killed any more.
    script = f"turn=0; until [ $turn -ge 6 ] && [ -e /tmp/over ]; do turn=$((turn + 1)); {build}; done"
    with recorded(team) as history:
        job = Runner.start(team, step(script), files=files)
        job.wait_log("turn 1")
        for program in ("buildkitd", "rootlesskit") * 3:
            kill(job, program)
            time.sleep(1.5)
        run_in(job, "job", "touch /tmp/over")
        job.succeed()
        states = history.of(job.name)

    assert {f"killed-{turn}" for turn in range(1, 7)} <= set(tags(team, "org/sidecar"))
    assert not [state for state in states if ends(state, DAEMON) and not ends(state, "job")]
    assert job.daemon()["restartCount"] == 0
    assert job.daemon()["state"]["terminated"]["exitCode"] == 0
    assert job.log().count("\nlost") >= 3
    assert job.log(DAEMON).count("Builds it was running are lost") == 6


def test_a_step_that_runs_out_of_memory_fails_and_the_job_goes_on(team: Kubectl) -> None:
    """Where the kernel kills the one process that eats most, as with cgroup v1.

    With cgroup v2 the kubelet has it kill the whole container, unless its configuration says singleProcessOOMKill.
    """
    team.apply(sidecar("small", resources={"limits": {"memory": "400Mi"}}))
    wait_ready(team, "small")
    base = f"FROM {pins.PYTHON_IMAGE}\n"
    files = {"Eater": f"""{base}RUN python3 -c 'len(b"x" * 2**30)'\n""", "Dockerfile": f"{base}RUN echo modest\n"}
    script = f"if {BUILD} --opt filename=Eater; then exit 9; fi; echo failed; {BUILD} {push('after-oom')}"
    job = Runner.start(team, step(f"ls /sys/fs/cgroup; {script}"), asks_for="small", files=files)
    job.wait_log("\nmemory")
    if "cgroup.controllers" in job.log():
        job.delete()
        pytest.skip("The kubelet kills whole containers with cgroup v2.")

    job.succeed()
    assert "exit code: 137" in job.log()
    assert "after-oom" in tags(team, "org/sidecar")
    assert job.daemon()["restartCount"] == 0
    assert job.daemon()["state"]["terminated"]["exitCode"] == 0


# The operator is away


@pytest.fixture
def without_operator(cluster: Kubectl) -> Iterator[None]:
    """Have no operator at all during a test."""
    operator = cluster.within(OPERATOR)
    replicas = operator.get("deployment", OPERATOR)["spec"]["replicas"]
    operator("scale", f"deployment/{OPERATOR}", "--replicas=0")
    try:
        selector = f"--selector=app.kubernetes.io/name={OPERATOR}"
        wait_for("no operator is left", lambda: not operator.get("pods", selector))
        yield
    finally:
        operator("scale", f"deployment/{OPERATOR}", f"--replicas={replicas}")
        operator("rollout", "status", f"deployment/{OPERATOR}", "--timeout=120s", timeout=130)


@pytest.mark.exclusive("stops the operator")
@pytest.mark.usefixtures("without_operator")
def test_jobs_start_and_build_without_the_operator(team: Kubectl) -> None:
    job = Runner.start(team, step(f"{BUILD} {push('alone')}"))

    job.succeed()
    assert "alone" in tags(team, "org/sidecar")


# What the job's pod has, and the daemon should not


@pytest.mark.parametrize("group", [1000, 2345], ids=["the-daemons-own-group", "another-group"])
def test_a_pods_group_for_volumes_gets_neither_into_images_nor_into_the_cache(team: Kubectl, group: int) -> None:
    files = {
        "Dockerfile": (
            f"FROM {pins.BUSYBOX_IMAGE}\nWORKDIR /made/workdir\nCOPY Dockerfile copied/\n"
            "RUN mkdir run && echo text > run/file && stat -c '%a %g %n' / $(find /made)\n"
        )
    }
    script = f"""
{BUILD} --output type=tar,dest=first.tar
echo waiting
until [ -e /tmp/again ]; do sleep 0.1; done
{BUILD} --output type=tar,dest=second.tar
tar -tvf first.tar made
tar -tvf second.tar made | grep -c made
tar -xOf first.tar > first; tar -xOf second.tar > second; cmp first second
"""
    job = Runner.start(team, step(script), files=files, securityContext={"fsGroup": group})
    job.wait_log("\nwaiting")
    kill(job, "buildkitd")
    run_in(job, "job", "touch /tmp/again")

    job.succeed()
    log = job.log()
    made = [line for line in log.splitlines() if re.match(r"[d-][rwxst-]{9} ", line)]
    assert len(made) == 6
    assert not [line for line in made if not re.match(r"(drwxr-xr-x|-rw-r--r--) (0/0|root/root) ", line)]
    in_step = re.findall(r"^#\d+ [\d.]+ (\d+) (\d+) /(?:made.*)?$", log, re.MULTILINE)
    assert len(in_step) == 7
    assert set(in_step) == {("755", "0"), ("644", "0")}
    assert log.count("CACHED") >= 3


def test_the_daemon_has_no_token_though_the_job_has_one(team: Kubectl) -> None:
    job = Runner.start(team, step("sleep 600"))
    job.wait_running()

    assert "token" in run_in(job, "job", f"ls {TOKEN}")
    assert run_in(job, DAEMON, f"ls -A {TOKEN}") == ""
    job.delete()
