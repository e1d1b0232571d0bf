"""own.sh, run for real on a volume whose top belongs to somebody, with a chown that only notes what it is asked."""

import pytest

from tests.scripts.container import Container

GROUPS = "1000 4242"
"""Groups of the daemon: its own, and one that a policy set as the pod's fsGroup."""


def changes(container: Container, owner: int, group: int, mode: str) -> list[str]:
    """Return what is changed of a volume whose top is like this."""
    container.install("stat", f"echo {owner} {group} {mode}")
    container.install("id", f"echo {GROUPS}")
    container.install("chown", 'echo "$*"')
    status, output = container.run("own.sh", "/volume", "1000")
    assert status == 0, output
    return output.splitlines()


@pytest.mark.parametrize(
    ("owner", "group", "mode"), [(0, 0, "755"), (0, 0, "2755"), (0, 4242, "755"), (0, 99, "775"), (1001, 0, "700")]
)
def test_a_volume_that_the_daemon_cannot_write_to_is_given_to_it(
    container: Container, owner: int, group: int, mode: str
) -> None:
    # The top alone and its owner alone.
    assert changes(container, owner, group, mode) == ["1000 /volume"]


@pytest.mark.parametrize(
    ("owner", "group", "mode"),
    [(1000, 0, "755"), (1000, 1000, "700"), (0, 0, "777"), (0, 0, "1777"), (0, 4242, "2775"), (0, 1000, "770")],
    ids=["its own", "its own and private", "everybody's", "with sticky bit", "its fsGroup's", "its group's"],
)
def test_one_that_it_can_write_to_is_left_alone(container: Container, owner: int, group: int, mode: str) -> None:
    assert changes(container, owner, group, mode) == []


def test_the_real_stat_is_understood(container: Container) -> None:
    container.volume.chmod(0o777)
    container.install("chown", "exit 9")

    assert container.run("own.sh", str(container.volume), "1000") == (0, "")


def test_a_chown_that_fails_ends_the_container_and_says_why(container: Container) -> None:
    container.install("stat", "echo 0 0 755")
    container.install("chown", 'echo "chown: $2: Operation not permitted" >&2; exit 1')

    assert container.run("own.sh", "/volume", "1000") == (1, "chown: /volume: Operation not permitted\n")
