"""The cluster leaves nothing behind, however it ended. Clusters of another name, beside the one of the other tests."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hack.cluster import cache, engine, host, layers, node, state

NAME = "down-test"
TOP = Path(__file__).parents[2]
# What the kernel counts by itself, or what other programs change all the time.
VOLATILE = {"kernel/random", "kernel/ns_last_pid", "fs", "dev/cdrom", "kernel/pty/nr"}

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can run the private engine, whose traces these are"
)


@dataclass(frozen=True)
class Machine:
    """What a cluster could leave on the machine, apart from processes."""

    mounts: frozenset[str]
    links: frozenset[str]
    cgroups: frozenset[str]
    sysctls: frozenset[tuple[str, str]]
    firewall: str
    folders: frozenset[str]


@pytest.fixture(autouse=True)
def private_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CLUSTER_NAME", NAME)
    monkeypatch.delenv("CLUSTER", raising=False)
    machine, _ = engine.find()
    if not engine.use_private(machine):
        pytest.skip("the Docker engine of this machine runs the cluster, and what kind leaves there is its own")
    yield
    run("down")


@pytest.fixture(scope="module", autouse=True)
def store() -> Iterator[None]:
    """Do not keep another cluster's images in the cache for good."""
    yield
    shutil.rmtree(cache.root() / "engines" / NAME, ignore_errors=True)


@pytest.fixture
def panic() -> Iterator[Path]:
    """Set a sysctl that a kubelet sets to a value that is nobody's, until the test has ended."""
    path = Path("/proc/sys/kernel/panic")
    before = path.read_text()
    path.write_text("7")
    yield path
    path.write_text(before)


def test_nothing_is_left_of_a_cluster(panic: Path) -> None:
    before = look()

    run("up")
    assert panic.read_text() == "10\n", "the node's kubelet has set what belongs to the whole machine"
    supervisor = recorded()
    processes = tree(supervisor.pid)
    assert len(processes) > 20, "the node's processes are seen from here"
    supervisor.kill(signal.SIGKILL)
    assert_ended(processes)

    assert "Clearing what is left of an earlier cluster" in run("up")
    processes = tree(recorded().pid)
    run("down")

    assert_ended(processes)
    assert look() == before
    assert state.load(NAME) is None


@pytest.mark.parametrize(
    ("moment", "later"),
    [
        ("Starting a private Docker engine", 0.05),
        ("Creating the cluster", 0.3),
        ("Creating the cluster", 8),
        ("Waiting for node, DNS and registry", 0.3),
    ],
)
def test_nothing_is_left_of_a_cluster_whose_start_was_killed(moment: str, later: float) -> None:
    before = look()

    processes = start_and_end(moment, later, signal.SIGKILL)
    run("down")

    assert_ended(processes)
    assert look() == before


def test_an_interrupted_start_clears_up_by_itself() -> None:
    before = look()

    processes = start_and_end("Creating the cluster", 3, signal.SIGINT)

    assert_ended(processes)
    assert look() == before
    assert state.load(NAME) is None


def test_a_killed_layer_leaves_nothing(tmp_path: Path) -> None:
    before = look()
    script = tmp_path / "script.sh"
    script.write_text("touch /tmp/begun; exec sleep 600\n")
    code = "import sys; from pathlib import Path; from hack.cluster import layers; "
    code += "layers.layer('killed', Path(sys.argv[1]), [layers.base()])"
    with subprocess.Popen([sys.executable, "-c", code, script], cwd=TOP, stderr=subprocess.DEVNULL) as making:
        wait_until(lambda: any("sleep 600" in command(pid) for pid, _ in tree(making.pid)))
        processes = tree(making.pid)
        making.kill()

    assert_ended(processes)
    assert look() == before


def run(command: str) -> str:
    """Run one command of hack.cluster to its end and return what it said."""
    done = subprocess.run(
        [sys.executable, "-m", "hack.cluster", command], cwd=TOP, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def start_and_end(moment: str, later: float, end: signal.Signals) -> set[tuple[int, int]]:
    """Start a cluster, end it some seconds after what it reports, and return the processes that there were then."""
    # Whoever runs the tests in the background may have Ctrl-C ignored, and the child would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        [sys.executable, "-m", "hack.cluster", "up"],
        cwd=TOP,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # As in a terminal, Ctrl-C reaches the whole group.
        start_new_session=True,
    ) as starting:
        assert starting.stderr is not None
        said = next((line for line in starting.stderr if moment in line), None)
        assert said is not None, f'it never said "{moment}"'
        time.sleep(later)  # into the work that the line announces
        found = state.load(NAME)
        assert found is not None
        processes = tree(starting.pid) | (tree(found.supervisor.pid) if found.supervisor else set())
        os.killpg(starting.pid, end) if end == signal.SIGINT else starting.send_signal(end)
        starting.stderr.read()
    return processes


def recorded() -> host.Process:
    """Return the process of the private engine."""
    found = state.load(NAME)
    assert found is not None
    assert found.supervisor is not None
    return found.supervisor


def tree(pid: int) -> set[tuple[int, int]]:
    """Return id and start of a process and all below it."""
    children: dict[int, list[int]] = {}
    starts: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(int(fields[1]), []).append(int(folder.name))
        starts[int(folder.name)] = int(fields[19])
    found, waiting = set(), [pid]
    while waiting:
        one = waiting.pop()
        if one in starts:
            found.add((one, starts[one]))
        waiting += children.get(one, [])
    return found


def assert_ended(processes: set[tuple[int, int]]) -> None:
    """Wait until none of the processes is left."""
    boot = host.boot_id()
    wait_until(lambda: not any(host.Process(pid, started, boot).alive() for pid, started in processes))


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline, "not within 20 seconds"
        time.sleep(0.05)


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def look() -> Machine:
    """Look at what the machine has now."""
    return Machine(
        mounts=frozenset(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        links=frozenset(path.name for path in Path("/sys/class/net").iterdir()),
        cgroups=frozenset(str(path) for path in Path("/sys/fs/cgroup").glob("*") if path.is_dir())
        | frozenset(str(path) for path in Path("/sys/fs/cgroup").glob("*/*") if path.is_dir()),
        sysctls=frozenset(sysctls()),
        firewall=firewall(),
        folders=frozenset(map(str, [*state.root().glob(NAME), *Path("/lib").glob("modules"), *Path("/run").glob("*")])),
    )


def sysctls() -> Iterator[tuple[str, str]]:
    top = Path("/proc/sys")
    for path in top.rglob("*"):
        name = path.relative_to(top).as_posix()
        if path.is_file() and not any(name == part or name.startswith(f"{part}/") for part in VOLATILE):
            try:
                yield name, path.read_text(errors="replace")
            except OSError:  # some may only be written
                continue


def firewall() -> str:
    """Return the rules of this network namespace: nftables', and whether there are tables of the older kind."""
    nft = [*layers.program(node.system(), "usr/sbin/nft"), "list", "ruleset"]
    rules = subprocess.run(nft, text=True, capture_output=True, check=True).stdout
    return rules + "".join(path.read_text() for path in sorted(Path("/proc/net").glob("ip*_tables_names")))
