"""Of two replicas one writes, and the other takes over when it has to."""

import asyncio
import time
from collections.abc import Callable, Mapping

import pytest

from buildkit_operator.engine import leader_election
from buildkit_operator.engine.leader_election import LeaseLeaderElection
from buildkit_operator.kube.auth import connect
from buildkit_operator.kube.client import Client
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


def leases(widgets: Widgets) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{widgets.namespace}/leases"


def holder(widgets: Widgets) -> str:
    path = f"{leases(widgets)}/buildkit-operator"
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

    until(lambda: standby.metric(LEADING) == 1)
    assert time.monotonic() - stopped_at < leader_election.LEASE_SECONDS
    assert leader.wait() == 0
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

    assert leader.wait() == 0
    assert holder(widgets) == ""


FORMER: dict[str, object] = {"holderIdentity": "a"}
ODD_LEASES: Mapping[str, dict[str, object] | None] = {
    "no spec": None,
    "ours, and nothing else": FORMER,
    "ours, without the time we got it": {
        **FORMER,
        "leaseDurationSeconds": 15,
        "renewTime": "2026-01-01T00:00:00.000000Z",
    },
    "ours, of the future": {
        **FORMER,
        "acquireTime": "2999-01-01T00:00:00.000000Z",
        "renewTime": "2999-01-01T00:00:00.000000Z",
    },
    "ours, held for a life": {**FORMER, "leaseDurationSeconds": 2**31 - 1},
    "ours, and no more changes to count": {**FORMER, "leaseTransitions": 2**31 - 1},
    "nobody's": {"leaseDurationSeconds": 15, "leaseTransitions": 2**31 - 1},
}


@pytest.mark.parametrize("spec", ODD_LEASES.values(), ids=ODD_LEASES)
def test_a_lease_with_odd_content_is_taken(
    widgets: Widgets, start_operator: StartOperator, spec: dict[str, object] | None
) -> None:
    lease = {"metadata": {"name": "buildkit-operator"}, **({"spec": spec} if spec else {})}
    widgets.control_plane.request("POST", leases(widgets), lease)

    leader = start_operator(widgets, lease=True, identity="a")

    until(lambda: leader.metric(LEADING) == 1)
    time.sleep(leader_election.RENEW_SECONDS * 1.5)  # it is renewed
    assert leader.metric(LEADING) == 1
    leader.terminate()
    assert leader.wait() == 0
    assert holder(widgets) == ""


def test_a_lease_that_loses_its_content_is_renewed(widgets: Widgets, start_operator: StartOperator) -> None:
    leader = start_operator(widgets, lease=True, identity="a")
    until(lambda: leader.metric(LEADING) == 1)
    path = f"{leases(widgets)}/buildkit-operator"

    widgets.control_plane.request("PATCH", path, {"spec": None})

    until(lambda: (widgets.control_plane.request("GET", path).get("spec") or {}).get("holderIdentity") == "a", 20)
    until(lambda: leader.metric(LEADING) == 1, 20)
    assert leader.running


def test_of_two_with_one_name_one_writes(widgets: Widgets, start_operator: StartOperator) -> None:
    """As where somebody sets the identity for all replicas, or runs the operator twice on a machine."""
    twins = [start_operator(widgets, lease=True, identity="a") for _ in range(2)]

    def leading() -> list[float]:
        return [twin.metric(LEADING) for twin in twins]

    time.sleep(FAILOVER_SECONDS)  # the second takes the Lease for its own, of a former life; the first notices
    for _ in range(20):
        assert sorted(leading()) == [0, 1]
        time.sleep(0.5)
    standby = twins[leading().index(0)]
    assert "give each its own (BUILDKIT_OPERATOR_IDENTITY)" in standby.log.read_text()


def test_without_rights_on_the_lease_it_says_so_and_goes_on(widgets: Widgets, start_operator: StartOperator) -> None:
    control_plane, namespace = widgets.control_plane, widgets.namespace
    control_plane.request("POST", widgets.path("serviceaccounts"), {"metadata": {"name": "operator"}})
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    everything = {"apiGroups": ["", "engine.test", "events.k8s.io"], "resources": ["*"], "verbs": ["*"]}
    role = {"metadata": {"name": "operator"}, "rules": [everything]}
    control_plane.request("POST", f"{rbac}/roles", role)
    subject = {"kind": "ServiceAccount", "name": "operator", "namespace": namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"}
    binding = {"metadata": {"name": "operator"}, "subjects": [subject], "roleRef": reference}
    control_plane.request("POST", f"{rbac}/rolebindings", binding)
    kubeconfig = control_plane.service_account_kubeconfig(namespace, "operator")

    operator = start_operator(widgets, kubeconfig=kubeconfig, ready=False, lease=True, identity="a")

    until(lambda: "The Lease could not be read or renewed" in operator.get("/readyz")[1])
    time.sleep(3 * leader_election.RETRY_SECONDS)
    assert operator.log.read_text().count("The Lease could not be read or renewed") == 1
    leases_too = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]}
    control_plane.request("PATCH", f"{rbac}/roles/operator", {"rules": [everything, leases_too]})
    until(lambda: operator.metric(LEADING) == 1)
    assert operator.get("/readyz")[0] == 200


async def test_a_machine_that_was_suspended_knows_that_its_lease_is_over(
    widgets: Widgets, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await connect(str(widgets.control_plane.kubeconfig))
    client = Client(connection, field_manager="test")
    election = LeaseLeaderElection(client, widgets.namespace, "lease", "a", lambda _leading: None)
    running = asyncio.create_task(election.run())
    await asyncio.wait_for(election.wait_until_leader(), 10)
    assert 0 < election.seconds_left() <= leader_election.VALID_SECONDS
    clock = time.clock_gettime

    # Linux' CLOCK_MONOTONIC stands still while a machine is suspended; CLOCK_BOOTTIME does not.
    monkeypatch.setattr(time, "clock_gettime", lambda which: clock(which) + 60 * (which == time.CLOCK_BOOTTIME))

    assert not election.is_leader()
    assert election.seconds_left() < 0
    running.cancel()
    await client.close()
    await connection.close()
