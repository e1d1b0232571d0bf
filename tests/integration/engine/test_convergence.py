"""The engine brings about what is wanted, repairs it, and otherwise leaves the API server alone."""

from collections.abc import Callable

import pytest

from tests.integration.engine.widget_namespace import Widgets, until
from tests.integration.engine.widget_operator import WidgetOperator

StartOperator = Callable[..., WidgetOperator]
MANY = 20


def test_a_new_object_gets_its_child_and_status(widgets: Widgets, start_operator: StartOperator) -> None:
    start_operator(widgets)

    widgets.create("one", "first")

    until(lambda: widgets.value("one") == "first" and widgets.seen("one") == "first")


def test_objects_from_before_the_start_are_served(widgets: Widgets, start_operator: StartOperator) -> None:
    widgets.create("earlier", "first")

    start_operator(widgets)

    until(lambda: widgets.seen("earlier") == "first")


def test_the_whole_cluster_is_served_without_a_list_of_namespaces(
    widgets: Widgets, start_operator: StartOperator
) -> None:
    start_operator(widgets, watch_namespaces="")

    widgets.create("anywhere", "first")

    until(lambda: widgets.seen("anywhere") == "first")


def test_other_namespaces_are_left_alone(widgets: Widgets, start_operator: StartOperator) -> None:
    elsewhere = Widgets(widgets.control_plane, f"{widgets.namespace}-elsewhere")
    widgets.control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": elsewhere.namespace}})
    start_operator(widgets)

    elsewhere.create("foreign", "first")
    widgets.create("own", "first")

    until(lambda: widgets.seen("own") == "first")
    assert elsewhere.value("foreign") is None
    assert elsewhere.seen("foreign") is None


def test_rights_in_one_namespace_suffice(widgets: Widgets, start_operator: StartOperator) -> None:
    control_plane = widgets.control_plane
    control_plane.request("POST", widgets.path("serviceaccounts"), {"metadata": {"name": "operator"}})
    rules = [
        {"apiGroups": ["engine.test"], "resources": ["widgets"], "verbs": ["list", "watch"]},
        {"apiGroups": ["engine.test"], "resources": ["widgets/status"], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch", "create", "patch"]},
        {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["list", "watch"]},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "create", "update"]},
    ]
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{widgets.namespace}"
    control_plane.request("POST", f"{rbac}/roles", {"metadata": {"name": "operator"}, "rules": rules})
    binding = {
        "metadata": {"name": "operator"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"},
        "subjects": [{"kind": "ServiceAccount", "name": "operator", "namespace": widgets.namespace}],
    }
    control_plane.request("POST", f"{rbac}/rolebindings", binding)
    kubeconfig = control_plane.service_account_kubeconfig(widgets.namespace, "operator")
    mark = control_plane.mark()

    operator = start_operator(widgets, kubeconfig=kubeconfig, lease=True)
    widgets.create("one", "first")

    until(lambda: widgets.seen("one") == "first" and widgets.notes())
    operator.terminate()
    assert operator.wait() == 0
    account = f"system:serviceaccount:{widgets.namespace}:operator"
    refused = [request for request in control_plane.audit(mark) if request.user == account and request.code == 403]
    assert refused == []


def test_a_changed_spec_is_followed(widgets: Widgets, start_operator: StartOperator) -> None:
    start_operator(widgets)
    widgets.create("one", "first")
    until(lambda: widgets.seen("one") == "first")

    widgets.edit("one", "second")

    until(lambda: widgets.value("one") == "second" and widgets.seen("one") == "second")


def test_a_deleted_child_comes_back(widgets: Widgets, start_operator: StartOperator) -> None:
    start_operator(widgets)
    widgets.create("one", "first")
    until(lambda: widgets.seen("one") == "first")

    widgets.delete("configmaps", "one")

    until(lambda: widgets.value("one") == "first")


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param({"data": {"value": "tampered"}}, id="content"),
        pytest.param({"metadata": {"labels": {"engine.test/owner": None}}}, id="our label removed"),
    ],
)
def test_an_edited_child_is_repaired(
    widgets: Widgets, start_operator: StartOperator, damage: dict[str, object]
) -> None:
    start_operator(widgets)
    widgets.create("one", "first")
    until(lambda: widgets.seen("one") == "first")

    widgets.patch("configmaps", "one", damage)

    def repaired() -> bool:
        found = widgets.get("configmaps", "one")
        return bool(found and found["data"] == {"value": "first"} and "labels" in found["metadata"])

    until(repaired)


def test_nothing_is_written_at_rest_and_after_a_restart(widgets: Widgets, start_operator: StartOperator) -> None:
    for number in range(MANY):
        widgets.create(f"widget-{number}", "first")
    operator = start_operator(widgets, resync_seconds=1)
    until(lambda: widgets.all_seen("first", MANY) and len(widgets.notes()) == MANY)

    mark = widgets.control_plane.mark()
    # Two resyncs reconcile everything again.
    before = operator.reconciles
    until(lambda: operator.reconciles >= before + 2 * MANY)
    assert widgets.written_since(mark) == []

    operator.terminate()
    assert operator.wait() == 0
    restarted = start_operator(widgets)
    until(lambda: restarted.reconciles >= MANY)
    assert widgets.written_since(mark) == []


def test_writes_are_exactly_those_needed(widgets: Widgets, start_operator: StartOperator) -> None:
    mark = widgets.control_plane.mark()
    operator = start_operator(widgets)

    for number in range(MANY):
        widgets.create(f"widget-{number}", "first")

    until(lambda: widgets.all_seen("first", MANY))
    written = [
        (request.resource, request.verb) for request in widgets.written_since(mark) if request.resource != "events"
    ]
    assert sorted(written) == [("configmaps", "patch")] * MANY + [("widgets", "patch")] * MANY
    # What a watch tells of our own writes is no news, but for the few that it tells before the write's answer.
    assert operator.reconciles < 2 * MANY


def test_changes_are_told_in_events_once(widgets: Widgets, start_operator: StartOperator) -> None:
    start_operator(widgets)
    widgets.create("one", "first")
    until(lambda: widgets.seen("one") == "first")
    widgets.edit("one", "second")
    until(lambda: widgets.seen("one") == "second")
    widgets.edit("one", "first")
    until(lambda: widgets.seen("one") == "first")
    widgets.edit("one", "third")

    until(lambda: "The value is third." in widgets.notes())
    assert sorted(widgets.notes()) == ["The value is first.", "The value is second.", "The value is third."]
    assert "The value is second." in widgets.control_plane.kubectl(
        "describe", "widgets", "one", f"--namespace={widgets.namespace}"
    )
