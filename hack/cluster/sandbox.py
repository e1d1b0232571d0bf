"""The private Docker engine: started in namespaces of its own by sandbox.sh, and ended without a trace."""

import json
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from hack.cluster import cache, host, images, layers, progress
from hack.cluster.problems import ClusterError
from hack.cluster.state import State

# The address of the engine's network namespace, as slirp4netns gives it.
GUEST: Final = "10.0.2.100"
_SANDBOX_SH: Final = Path(__file__).with_name("sandbox.sh")
_CAP_SYS_RESOURCE: Final = 24
_START_SECONDS: Final = 60
_STOP_SECONDS: Final = 15


class EngineError(ClusterError):
    """The private engine did not do what it was told; the message is a sentence or two."""


def tree() -> list[Path]:
    """Return the root tree of the engine, the lowest layer first."""
    base = layers.base()
    return [base, layers.layer("engine", images.SCRIPTS / "engine.sh", [base])]


def client() -> list[str]:
    """Return the words that start the docker client of the same package."""
    return layers.program(tree(), "usr/bin/docker")


def docker_host(state: State) -> str:
    """Return where `docker` finds the engine."""
    return f"unix://{state.folder}/run/docker.sock"


def start(name: str) -> State:
    """Start the engine of a cluster and wait until it answers; return the record with its process in it."""
    lower = ":".join(str(path) for path in reversed(tree()))
    store = cache.root() / "engines" / name
    state = State(name, private=True, store=str(store), sysctls=host.sysctls())
    state.save()
    log = state.folder / "engine.log"
    namespace = ["unshare", "--mount", "--propagation=private"]
    command: list[str | Path] = [*namespace, _SANDBOX_SH, lower, state.folder, store, state.cgroup, runtime()]
    with progress.step("Starting a private Docker engine", "Started a private Docker engine"), log.open("w") as output:
        supervisor = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, cwd="/"
        )
        state = replace(state, supervisor=host.process(supervisor.pid))
        state.save()
        # sandbox.sh begins when it reads this.
        if supervisor.stdin is not None:
            supervisor.stdin.write(b"recorded\n")
            supervisor.stdin.close()
        _wait(state, supervisor, log)
        # The engine outlives this program; a Popen that is forgotten while its process runs would warn of that.
        supervisor.returncode = 0
    return state


def stop(state: State) -> None:
    """End the engine and everything in it, and put back what it changed. Raises EngineError when something remains."""
    stopped = _end(state.supervisor) if state.supervisor else False
    if not stopped and Path(state.store).exists():
        # An engine that was killed may have left its store half written.
        shutil.rmtree(state.store)
    _remove_cgroup(state.cgroup)
    if state.supervisor is None or state.supervisor.boot == host.boot_id():
        host.restore_sysctls(state.sysctls)


def runtime() -> str:
    """Return the container runtime for this machine: runc, but for a wrapper where root may not have all rights."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":\t")
        if name == "CapBnd":
            return "runc" if int(value, 16) >> _CAP_SYS_RESOURCE & 1 else "bounded"
    raise EngineError("/proc/self/status has no CapBnd line.")


def forward(state: State, port: int) -> None:
    """Make a TCP port of the engine's network reachable at the same port of this machine's loopback.

    Raises EngineError naming the process that has this port already.
    """
    request = {
        "execute": "add_hostfwd",
        "arguments": {"proto": "tcp", "host_addr": "127.0.0.1", "host_port": port, "guest_port": port},
    }
    answer = _ask(state.folder / "run/slirp.sock", request)
    if "error" in answer:
        holder = host.port_holder(port) or "a process that cannot be seen"
        raise EngineError(f"Port {port} of this machine is taken by {holder}: {answer['error']}")


def _end(supervisor: host.Process) -> bool:
    """End the process tree; tell whether it ended by itself."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if not supervisor.alive():
            return False
        supervisor.kill(sign)
        if supervisor.wait(_STOP_SECONDS):
            return sign == signal.SIGTERM
    raise EngineError(f"Process {supervisor.pid}, the private Docker engine, does not end.")


def _remove_cgroup(name: str) -> None:
    deadline = time.monotonic() + _STOP_SECONDS
    while True:
        try:
            host.remove_cgroup(name)
        except OSError as problem:
            # The kernel takes a moment for the last processes of a killed process namespace.
            if time.monotonic() > deadline:
                raise EngineError(f"The cgroup {name} cannot be removed: {problem}") from problem
            time.sleep(0.1)
        else:
            return


def _ask(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(json.dumps(request).encode())
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile() as file:
            answer: dict[str, Any] = json.load(file)
        return answer


def _wait(state: State, supervisor: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(state.folder / "run/docker.sock"):
        if supervisor.poll() is not None or time.monotonic() > deadline:
            last = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise EngineError(f"The private Docker engine did not start; the end of {log}:\n{last}")
        time.sleep(0.05)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
        return True
