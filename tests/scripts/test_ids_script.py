"""ids.sh, run for real: which ids a cache was written with, and whether the pod has those that builds are to have."""

from pathlib import Path
from typing import Final

import pytest

from tests.scripts.container import SHORT_PAUSES, Container

ROOTLESS: Final = "user:100000:65536\n"
MORE: Final = "user:100000:4000000\n"
OF_POD: Final = "user:1:999\nuser:1001:64535\n"
MORE_OF_POD: Final = "user:1:999\nuser:1001:130001\n"

EVERY_ID: Final = "         0          0 4294967295\n"
OF_ONE_POD: Final = "         0    1000000      65536\n"
OF_A_LARGE_POD: Final = "         0    1000000     131072\n         131072    5000000     65536\n"

CHANGED: Final = "ids.sh: the cache was written with other ids behind those of builds"


def started(container: Container, ids: str, *, gids: str | None = None, pod: str = EVERY_ID) -> str:
    """Start a daemon whose image or ConfigMap gives builds these ids in a pod with those; return what is said."""
    container.root.mkdir(exist_ok=True)
    container.install("id", 'case $1 in -un) echo user ;; -u) echo 1000 ;; *) exec /usr/bin/id "$@" ;; esac')
    for name, text in {"subuid": ids, "subgid": gids or ids, "uid_map": pod, "gid_map": pod}.items():
        (container.folder / name).write_text(text)
    folder = str(container.folder)
    status, output = container.run("ids.sh", str(container.root), folder, folder)
    assert (status == 0) is (output == "")
    return output


@pytest.mark.parametrize(
    "then", [ROOTLESS, MORE, f"root:1:5\n{ROOTLESS}", "1000:100000:65536\n", f"{ROOTLESS}user:300000:10\n"]
)
def test_a_cache_is_used_with_the_same_ids_and_with_more(container: Container, then: str) -> None:
    assert started(container, ROOTLESS) == ""
    assert started(container, then) == ""


def test_likewise_in_a_user_namespace(container: Container) -> None:
    assert started(container, OF_POD, pod=OF_ONE_POD) == ""
    assert started(container, OF_POD, pod=OF_ONE_POD) == ""
    assert started(container, MORE_OF_POD, pod=OF_A_LARGE_POD) == ""


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (ROOTLESS, OF_POD),
        (OF_POD, ROOTLESS),
        (MORE, ROOTLESS),
        (MORE_OF_POD, OF_POD),
        (OF_POD, "user:1:999\n"),
        (OF_POD, "user:1:1000\nuser:1001:64535\n"),
        (ROOTLESS, "user:200000:65536\n"),
        (ROOTLESS, ""),
    ],
)
def test_a_cache_is_not_used_with_others(container: Container, before: str, now: str) -> None:
    assert started(container, before) == ""

    for _ in range(2):
        assert started(container, now).startswith(CHANGED)
    # It is still what it was.
    assert started(container, before) == ""


def test_gids_count_too(container: Container) -> None:
    assert started(container, ROOTLESS) == ""

    said = started(container, ROOTLESS, gids="user:200000:65536\n")

    assert said == f"{CHANGED} (100000 65536), than the daemon has now (200000 65536).\n"


def test_what_was_raised_cannot_be_lowered_again(container: Container) -> None:
    assert started(container, ROOTLESS) == started(container, MORE) == ""

    assert started(container, ROOTLESS).startswith(CHANGED)


def test_a_cache_that_does_not_say_is_taken(container: Container) -> None:
    container.root.mkdir()
    (container.root / "cache.db").touch()

    assert started(container, ROOTLESS) == ""
    assert started(container, OF_POD).startswith(CHANGED)


@pytest.mark.parametrize("ids", [MORE_OF_POD, ROOTLESS])
def test_ids_that_the_pod_lacks_are_named(container: Container, ids: str) -> None:
    highest = {MORE_OF_POD: 131001, ROOTLESS: 165535}[ids]

    said = started(container, ids, pod=OF_ONE_POD)

    assert said == f"ids.sh: builds are to have ids of the pod up to {highest}, which has none above 65535.\n"
    # Nothing was written with them.
    assert started(container, OF_POD, pod=OF_ONE_POD) == ""


@pytest.mark.parametrize("restart", ["once", "always"])
def test_no_daemon_is_started_with_other_ids(container: Container, restart: str, tmp_path: Path) -> None:
    container.install("rootlesskit", "touch $HERE/started; exit 3")
    container.install("id", 'test "$1" = -un && echo user || exec /usr/bin/id "$@"')
    container.root.mkdir()
    (container.root / "subuid").write_text("1 999\n")

    if restart == "once":
        status, output = container.run_daemon()
        assert status == 1
    else:
        container.install("sleep", SHORT_PAUSES)
        process = container.start_daemon("always")
        status, output = container.run("started.sh", "60", str(container.notes), str(tmp_path / "said"))
        process.kill()
        assert status == 1
    assert CHANGED in output
    assert not (container.folder / "started").exists()
