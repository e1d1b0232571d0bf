"""Builds that pods start at planned times: the script really runs, with other commands in the place of builds."""

import subprocess
from pathlib import Path

import pytest

from hack.bench import timed
from hack.bench.timed import Built, Order, Planned


def run(folder: Path, *planned: Planned, in_turn: bool = False) -> dict[str, Built]:
    script = timed.script(0, planned, in_turn=in_turn).replace("/work", str(folder))
    (folder / "source").mkdir()
    said = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=True, timeout=60).stdout
    return {built.name: built for built in timed.read(said)}


def told(name: str, came: float, answered: float) -> Built:
    return Built(name, came, answered, answered + 1, "status 0\n")


def test_builds_go_side_by_side_and_each_is_timed(tmp_path: Path) -> None:
    # It says something once the other one, which comes later, has ended.
    until_lost = "until [ -e ../lost.told ]; do sleep 0.05; done"
    slow = f'sh -c \'{until_lost}; sleep 0.5; echo "#1 first"; echo "#2 0.1 step words of it"; sleep 0.3\''

    built = run(tmp_path, Planned("slow", 0.1, slow), Planned("lost", 0.2, "sh -c 'echo error: gone; exit 1'"))

    # Times are differences of seconds with two places.
    assert 0.09 <= built["slow"].came <= built["lost"].came <= built["lost"].ended < built["slow"].answered
    assert 0.49 <= built["slow"].waited < built["slow"].ended - built["slow"].came - 0.25
    assert not built["slow"].is_lost
    assert built["slow"].printed("step") == "words of it"
    assert built["lost"].log == "error: gone\nstatus 1\n"
    assert built["lost"].is_lost
    assert built["lost"].printed("step") is None


def test_builds_go_one_after_the_other(tmp_path: Path) -> None:
    built = run(tmp_path, Planned("a", 0, "sh -c 'echo a; sleep 0.2'"), Planned("b", 0, "echo b"), in_turn=True)

    assert built["a"].ended <= built["b"].came
    assert built["a"].log == "a\nstatus 0\n"


@pytest.mark.parametrize(
    ("answered", "expected"),
    [((1, 2, 3), Order(0, 3, 0)), ((3, 1, 2), Order(2, 3, 2)), ((3, 2, 1), Order(3, 3, 2))],
    ids=["first-come", "first-is-last", "backwards"],
)
def test_order_is_told_by_pairs_and_places(answered: tuple[float, ...], expected: Order) -> None:
    assert Order.of(told(str(came), came / 10, time) for came, time in enumerate(answered)) == expected
