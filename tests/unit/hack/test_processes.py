"""Ports of the programs that tests start side by side."""

from itertools import chain, count, islice
from random import randrange

import pytest

from hack.cluster import processes


def test_a_port_is_given_to_one_alone_before_anybody_listens_there(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = processes.free_port(), processes.free_port()
    others = (randrange(20000, 30000) for _ in count())
    offered = chain([first, second], [*islice(others, 20)])
    monkeypatch.setattr(processes, "randrange", lambda *_: next(offered))

    assert processes.free_port() not in {first, second}
