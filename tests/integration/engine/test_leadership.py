"""Of two replicas one writes, and the other takes over when it has to."""

import time
from collections.abc import Callable

from buildkit_operator.engine import leader_election
from tests.integration.engine.widget_namespace import Widgets, until
from tests.integration.engine.widget_operator import WidgetOperator

StartOperator = Callable[..., WidgetOperator]
LEADING = "buildkit_operator_leading"
# A dead holder's lease runs out by the standby's clock, which looks every second or so.
FAILOVER_SECONDS = leader_election.LEASE_SECONDS + 3 * leader_election.RETRY_SECONDS


def start_pair(widgets: Widgets, start_operator: StartOperator) -> tuple[WidgetOperator, WidgetOperator]:
    leader = start_operator(widgets, lease=True, identity="a")
    until(lambda: leader.metric(LEADING) == 1)
    standby = start_operator(widgets, lease=True, identity="b")
    return leader, standby


def holder(widgets: Widgets) -> str:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{widgets.namespace}/leases/buildkit-operator"
    name: str = widgets.control_plane.request("GET", path)["spec"]["holderIdentity"]
    return name


def test_one_writes_and_both_are_ready(widgets: Widgets, start_operator: StartOperator) -> None:
    leader, standby = start_pair(widgets, start_operator)

    widgets.create("one", "first")

    until(lambda: widgets.seen("one") == "first")
    assert holder(widgets) == "a"
    assert (leader.metric(LEADING), standby.metric(LEADING)) == (1, 0)
    assert standby.reconciles == 0
    assert standby.get("/readyz")[0] == 200


def test_a_leader_that_stops_hands_over_at_once(widgets: Widgets, start_operator: StartOperator) -> None:
    leader, standby = start_pair(widgets, start_operator)

    leader.terminate()
    stopped_at = time.monotonic()

    until(lambda: standby.metric(LEADING) == 1, seconds=5)
    assert time.monotonic() - stopped_at < leader_election.LEASE_SECONDS / 2
    assert leader.wait(5) == 0
    widgets.create("one", "first")
    until(lambda: widgets.seen("one") == "first")


def test_a_leader_that_is_killed_is_succeeded_within_the_lease(widgets: Widgets, start_operator: StartOperator) -> None:
    leader, standby = start_pair(widgets, start_operator)

    leader.kill()
    widgets.create("one", "first")

    until(lambda: widgets.seen("one") == "first", FAILOVER_SECONDS)
    assert standby.metric(LEADING) == 1
    assert holder(widgets) == "b"


def test_a_leader_that_was_frozen_notices_that_it_lost(widgets: Widgets, start_operator: StartOperator) -> None:
    leader, standby = start_pair(widgets, start_operator)

    leader.freeze()
    until(lambda: standby.metric(LEADING) == 1, FAILOVER_SECONDS)
    reconciled = standby.reconciles
    leader.thaw()
    widgets.create("one", "first")

    until(lambda: widgets.seen("one") == "first")
    until(lambda: leader.metric(LEADING) == 0)
    assert leader.reconciles == 0
    assert standby.reconciles > reconciled
    assert holder(widgets) == "b"


def test_a_lease_that_somebody_deletes_is_made_again(widgets: Widgets, start_operator: StartOperator) -> None:
    leader = start_operator(widgets, lease=True, identity="a")
    until(lambda: leader.metric(LEADING) == 1)

    path = f"/apis/coordination.k8s.io/v1/namespaces/{widgets.namespace}/leases/buildkit-operator"
    widgets.control_plane.request("DELETE", path)

    def back() -> bool:
        leases = widgets.control_plane.request("GET", path.rpartition("/")[0])["items"]
        return [lease["spec"]["holderIdentity"] for lease in leases] == ["a"]

    until(back, leader_election.LEASE_SECONDS + leader_election.RENEW_SECONDS)


def test_the_lease_is_freed_at_the_end(widgets: Widgets, start_operator: StartOperator) -> None:
    leader = start_operator(widgets, lease=True, identity="a")
    until(lambda: leader.metric(LEADING) == 1)

    leader.terminate()

    assert leader.wait(5) == 0
    assert holder(widgets) == ""
