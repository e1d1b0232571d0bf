"""A daemon whose volume is full or whose databases are broken, run for real, with stand-ins for rootlesskit and df."""

from pathlib import Path

import pytest

from buildkit_operator.desired.scripts import CACHE_BROKEN
from tests.scripts.container import Container, wait_for

PANIC = """panic: freepages: failed to get all reachable pages

goroutine 1 [running]:
go.etcd.io/bbolt.(*DB).freepages.func2()
	/src/vendor/go.etcd.io/bbolt/db.go:1205 +0x8f"""
FULL = "buildkitd: write /root/cache.db: no space left on device"


@pytest.fixture(autouse=True)
def told(container: Container) -> Path:
    """Return the container's termination log, in a container whose volume has room."""
    log = container.folder / "termination-log"
    log.touch()
    room(container, 1_000_000)
    return log


def room(container: Container, kib: int) -> None:
    container.install("df", f"echo header; echo fs 1 1 {kib} 1% /volume")


def daemon(container: Container, body: str) -> None:
    """Put this in the place of buildkitd; what else runs in its user namespace does so as it is."""
    container.install("rootlesskit", f'case $1 in buildkitd) ;; *) echo "$@" >> $HERE/calls; exec "$@" ;; esac\n{body}')


def says(text: str, code: int, before: str = "") -> str:
    return f"{before}\ncat <<'END'\n{text}\nEND\nexit {code}"


def run(container: Container, told: Path) -> int:
    return container.run("run.sh", *container.daemon_arguments("once"), str(told))[0]


@pytest.mark.parametrize("log", [PANIC, "buildkitd: failed to open database file: invalid database"])
def test_a_broken_cache_is_moved_aside_and_the_next_daemon_begins_anew(
    container: Container, told: Path, log: str
) -> None:
    container.root.mkdir()
    (container.root / "containerdmeta.db").write_text("broken")
    daemon(container, says(log, 2))

    assert run(container, told) == 2
    assert told.read_text() == f"{CACHE_BROKEN}{log.splitlines()[0]}\n"
    broken = container.volume / "root.broken"
    assert (broken / "containerdmeta.db").exists()

    daemon(container, "until [ -e $HERE/calls ]; do sleep 0.02; done; exit 0")
    assert run(container, told) == 0
    assert not (container.root / "containerdmeta.db").exists()
    wait_for(lambda: not broken.exists())


def test_a_sidecar_begins_anew_on_a_volume_that_was_filled_with_a_broken_cache(container: Container) -> None:
    container.root.mkdir()
    (container.root / "containerdmeta.db").write_text("broken")
    (container.volume / "root.broken").mkdir()
    breaks = f"[ ! -e {container.root}/containerdmeta.db ] || {{ {says(PANIC, 2)}\n}}"
    daemon(container, f"{breaks}\ntouch $HERE/up\n/bin/sleep 60")
    container.start_daemon("always")

    wait_for((container.folder / "up").exists)
    assert container.root.is_dir()
    wait_for(lambda: not (container.volume / "root.broken").exists())


def test_a_cache_that_breaks_again_is_moved_aside_again(container: Container, told: Path) -> None:
    for _ in range(3):
        daemon(container, says(PANIC, 2, before=f"touch {container.root}/containerdmeta.db"))
        run(container, told)
        assert not container.root.exists()


@pytest.mark.parametrize(
    "log",
    [
        f"{FULL}\n\tgo.etcd.io/bbolt",
        "fatal error: runtime: cannot allocate memory\n\tgo.etcd.io/bbolt",
        "buildkitd: no worker found, rebuild the buildkit daemon?",
    ],
)
def test_a_cache_that_is_not_known_to_be_broken_stays(container: Container, told: Path, log: str) -> None:
    container.root.mkdir()
    (container.root / "cache.db").write_text("cache")
    daemon(container, says(log, 1))

    assert run(container, told) == 1
    assert told.read_text() == log.splitlines()[0] + "\n"
    assert (container.root / "cache.db").exists()


def test_a_daemon_that_came_up_and_crashes_has_no_broken_cache(container: Container, told: Path) -> None:
    daemon(container, says(PANIC, 2, before="touch $HERE/notes/ready"))

    assert run(container, told) == 2
    assert told.read_text() == ""
    assert container.root.exists()


def test_some_of_the_volume_is_kept_and_given_to_a_daemon_that_begins_on_a_full_one(
    container: Container, told: Path
) -> None:
    reserve = container.volume / "reserve"
    daemon(container, "exit 0")
    run(container, told)
    assert reserve.stat().st_size == 64 * 1024 * 1024
    room(container, 40_000)
    run(container, told)
    assert reserve.exists()

    room(container, 100)
    daemon(container, f"test ! -e {reserve}")

    assert run(container, told) == 0


def test_nothing_is_kept_of_a_volume_without_room(container: Container, told: Path) -> None:
    room(container, 400_000)
    daemon(container, "exit 0")

    run(container, told)

    assert sorted(path.name for path in container.volume.iterdir()) == ["root"]
