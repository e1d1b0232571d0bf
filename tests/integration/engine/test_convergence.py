"""The engine brings about what is wanted, repairs it, and otherwise leaves the API server alone."""

from collections.abc import Callable

import pytest

from tests.integration.engine.process import OperatorProcess
from tests.integration.engine.world import World, until

StartOperator = Callable[..., OperatorProcess]
MANY = 20


def test_a_new_object_gets_its_child_and_status(world: World, start_operator: StartOperator) -> None:
    start_operator(world)

    world.create("one", "first")

    until(lambda: world.value("one") == "first" and world.seen("one") == "first")


def test_objects_from_before_the_start_are_served(world: World, start_operator: StartOperator) -> None:
    world.create("earlier", "first")

    start_operator(world)

    until(lambda: world.seen("earlier") == "first")


def test_the_whole_cluster_is_served_without_a_list_of_namespaces(world: World, start_operator: StartOperator) -> None:
    start_operator(world, watch_namespaces="")

    world.create("anywhere", "first")

    until(lambda: world.seen("anywhere") == "first")


def test_other_namespaces_are_left_alone(world: World, start_operator: StartOperator) -> None:
    elsewhere = World(world.control_plane, f"{world.namespace}-elsewhere")
    world.control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": elsewhere.namespace}})
    start_operator(world)

    elsewhere.create("foreign", "first")
    world.create("own", "first")

    until(lambda: world.seen("own") == "first")
    assert elsewhere.value("foreign") is None
    assert elsewhere.seen("foreign") is None


def test_rights_in_one_namespace_suffice(world: World, start_operator: StartOperator) -> None:
    control_plane = world.control_plane
    control_plane.request("POST", world.path("serviceaccounts"), {"metadata": {"name": "operator"}})
    rules = [
        {"apiGroups": ["engine.test"], "resources": ["widgets"], "verbs": ["list", "watch"]},
        {"apiGroups": ["engine.test"], "resources": ["widgets/status"], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch", "create", "patch"]},
        {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["list", "watch"]},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
    ]
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{world.namespace}"
    control_plane.request("POST", f"{rbac}/roles", {"metadata": {"name": "operator"}, "rules": rules})
    binding = {
        "metadata": {"name": "operator"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"},
        "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": world.namespace}],
    }
    control_plane.request("POST", f"{rbac}/rolebindings", binding)
    kubeconfig = control_plane.service_account_kubeconfig(world.namespace, "operator")
    mark = control_plane.mark()

    operator = start_operator(world, kubeconfig=kubeconfig, lease=True)
    world.create("one", "first")

    until(lambda: world.seen("one") == "first" and world.notes())
    operator.terminate()
    assert operator.wait(5) == 0
    account = f"system:serviceaccount:{world.namespace}:operator"
    refused = [request for request in control_plane.audit(mark) if request.user == account and request.code == 403]
    assert refused == []


def test_a_changed_spec_is_followed(world: World, start_operator: StartOperator) -> None:
    start_operator(world)
    world.create("one", "first")
    until(lambda: world.seen("one") == "first")

    world.edit("one", "second")

    until(lambda: world.value("one") == "second" and world.seen("one") == "second")


def test_a_deleted_child_comes_back(world: World, start_operator: StartOperator) -> None:
    start_operator(world)
    world.create("one", "first")
    until(lambda: world.seen("one") == "first")

    world.delete("configmaps", "one")

    until(lambda: world.value("one") == "first")


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"data": {"value": "tampered"}}, id="content"),
        pytest.param({"metadata": {"labels": {"engine.test/owner": None}}}, id="our label removed"),
    ],
)
def test_an_edited_child_is_repaired(world: World, start_operator: StartOperator, damage: dict[str, object]) -> None:
    start_operator(world)
    world.create("one", "first")
    until(lambda: world.seen("one") == "first")

    world.patch("configmaps", "one", damage)

    def repaired() -> bool:
        found = world.get("configmaps", "one")
        return bool(found and found["data"] == {"value": "first"} and "labels" in found["metadata"])

    until(repaired)


def test_nothing_is_written_at_rest_and_after_a_restart(world: World, start_operator: StartOperator) -> None:
    for number in range(MANY):
        world.create(f"widget-{number}", "first")
    operator = start_operator(world, resync_seconds=1)
    until(lambda: world.all_seen("first", MANY) and len(world.notes()) == MANY)

    mark = world.control_plane.mark()
    # Two resyncs reconcile everything again.
    before = operator.reconciles
    until(lambda: operator.reconciles >= before + 2 * MANY)
    assert world.writes_since(mark) == []

    operator.terminate()
    assert operator.wait(5) == 0
    restarted = start_operator(world)
    until(lambda: restarted.reconciles >= MANY)
    assert world.writes_since(mark) == []


def test_writes_are_exactly_those_needed(world: World, start_operator: StartOperator) -> None:
    mark = world.control_plane.mark()
    operator = start_operator(world)

    for number in range(MANY):
        world.create(f"widget-{number}", "first")

    until(lambda: world.all_seen("first", MANY))
    written = [(request.resource, request.verb) for request in world.writes_since(mark) if request.resource != "events"]
    assert sorted(written) == [("configmaps", "patch")] * MANY + [("widgets", "patch")] * MANY
    # What a watch tells of our own writes is no news, but for the few that it tells before the write's answer.
    assert operator.reconciles < 2 * MANY


def test_changes_are_told_in_events_once(world: World, start_operator: StartOperator) -> None:
    start_operator(world)
    world.create("one", "first")
    until(lambda: world.seen("one") == "first")
    world.edit("one", "second")
    until(lambda: world.seen("one") == "second")
    world.edit("one", "first")
    until(lambda: world.seen("one") == "first")
    world.edit("one", "third")

    until(lambda: "The value is third." in world.notes())
    assert sorted(world.notes()) == ["The value is first.", "The value is second.", "The value is third."]
    assert "The value is second." in world.control_plane.kubectl(
        "describe", "widgets", "one", f"--namespace={world.namespace}"
    )
