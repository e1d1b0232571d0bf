"""Ports of the programs that tests start side by side."""

from collections.abc import Iterator

import pytest

from hack.cluster import processes


def test_a_port_is_given_to_one_alone_before_anybody_listens_there(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = processes.free_port(), processes.free_port()
    offered: Iterator[int] = iter([first, second, processes.free_port() + 10_000])
    monkeypatch.setattr(processes, "randrange", lambda *_: next(offered))

    assert processes.free_port() not in {first, second}
