"""Ports of the programs that tests start side by side."""

from random import randrange

import pytest

from hack.cluster import processes


def test_a_port_is_given_to_one_alone_before_anybody_listens_there(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = processes.free_port(), processes.free_port()
    offered = iter([first, second, *(randrange(20000, 30000) for _ in range(20))])
    monkeypatch.setattr(processes, "randrange", lambda *_: next(offered))

    assert processes.free_port() not in {first, second}
