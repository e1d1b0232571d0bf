"""Of two replicas never both write: the API server's audit log tells who wrote, as each has a ServiceAccount."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
import yaml
from aiohttp import web

from buildkit_operator.engine import leader_election
from hack.cluster.controlplane import ControlPlane
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.builder_operator import BuilderOperator
from tests.integration.builders.conftest import make_administrator
from tests.integration.builders.everything import Everything
from tests.integration.engine.proxy import FaultProxy

LEADING: Final = "buildkit_operator_leading"
FORMER: Final = "a-former"
LATER: Final = "b-later"
"""Names of the replicas, which sort as they lead."""
FAILOVER_SECONDS: Final = 4 * leader_election.LEASE_SECONDS
SKEW: Final = timedelta(seconds=30)
"""How far the leader's clock is from the standby's: an operator goes by the API server's, which the proxy shifts."""
BUILDERS: Final = 10
NTH: Final = 15
"""Of the leader's writes, the one in whose middle it is paused."""


class PausingProxy(FaultProxy):
    """Pauses a process in the middle of one of its writes: it has been sent and lands, and its answer is not read."""

    def __init__(self, control_plane: ControlPlane) -> None:
        super().__init__(control_plane)
        self.pauses: int | None = None
        """The process to pause at its n-th write from now."""
        self._writes = 0

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        if self.pauses is not None and request.method != "GET" and "leases" not in request.path:
            self._writes += 1
            if self._writes == NTH:
                os.kill(self.pauses, signal.SIGSTOP)
        return await super()._pass_on(request)

    @property
    def has_paused(self) -> bool:
        return self._writes >= NTH


@dataclass
class Pair:
    """Two replicas; the leader reaches the API server through a proxy."""

    everything: Everything
    builders: Builders
    proxy: PausingProxy
    leader: BuilderOperator
    standby: BuilderOperator

    def create(self, prefix: str) -> None:
        for number in range(BUILDERS):
            self.builders.create(f"{prefix}-{number}")

    def wait_until_succeeded(self) -> None:
        self.everything.wait("the other one leads", lambda: self.standby.metric(LEADING) == 1, FAILOVER_SECONDS)

    def writers(self) -> list[str]:
        """Return the replica that sent each write that landed, the Lease's too, in the order of the audit log."""
        landed = [request for request in self.everything.control_plane.audit() if request.writes and request.code < 400]
        users = [request.user.rpartition(":")[2] for request in landed]
        return [user for user in users if user in {FORMER, LATER}]


@pytest.fixture
def pair(start_control_plane: Callable[..., ControlPlane], tmp_path: Path) -> Iterator[Pair]:
    control_plane = start_control_plane()
    builders = Builders(control_plane, "default")
    with ExitStack() as started:
        proxy = started.enter_context(PausingProxy(control_plane))

        def start(name: str, kubeconfig: Path) -> BuilderOperator:
            log = tmp_path / f"{name}.log"
            operator = BuilderOperator(kubeconfig, log, lease=True, lease_namespace="default", identity=name)
            started.callback(operator.kill)
            operator.wait_ready()
            return operator

        direct = {name: identity(control_plane, name) for name in (FORMER, LATER)}
        token = yaml.safe_load(direct[FORMER].read_text())["users"][0]["user"]["token"]
        leader = start(FORMER, proxy.write_kubeconfig(tmp_path / "kubeconfig", token))
        builders.wait("it leads", lambda: leader.metric(LEADING) == 1)
        yield Pair(Everything(control_plane), builders, proxy, leader, start(LATER, direct[LATER]))


def identity(control_plane: ControlPlane, name: str) -> Path:
    """Make a ServiceAccount that may do everything, and return its kubeconfig."""
    make_administrator(control_plane, name)
    return control_plane.service_account_kubeconfig("default", name)


def assert_one_wrote_after_the_other(pair: Pair) -> None:
    """Assert it of builders that were made under the former leader, and of some for both to hear of now."""
    pair.create("afterwards")
    pair.builders.wait("the former leader knows", lambda: pair.leader.metric(LEADING) == 0)
    pair.everything.wait_ready()
    pair.everything.wait_at_rest()
    writers = pair.writers()
    assert set(writers) == {FORMER, LATER}
    assert writers == sorted(writers)
    assert pair.leader.running
    assert pair.standby.metric(LEADING) == 1


def test_a_leader_that_was_paused_in_the_middle_of_a_write_writes_nothing_after_its_successor(pair: Pair) -> None:
    with pair.proxy.telling_time(SKEW):
        pair.proxy.pauses = pair.leader.pid
        pair.create("before")
        pair.builders.wait("it is paused", lambda: pair.proxy.has_paused)
        pair.wait_until_succeeded()
        pair.everything.wait_ready()

        pair.leader.thaw()

        assert_one_wrote_after_the_other(pair)


def test_a_leader_that_is_cut_off_writes_nothing_after_its_successor(pair: Pair) -> None:
    with pair.proxy.telling_time(-SKEW):
        pair.create("before")
        pair.builders.wait("the midst of it", lambda: FORMER in pair.writers())
        with pair.proxy.hanging():
            pair.create("meanwhile")
            pair.wait_until_succeeded()
            pair.everything.wait_ready()

        assert_one_wrote_after_the_other(pair)
