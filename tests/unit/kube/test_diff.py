"""Drift is what others changed of what we set, and nothing else."""

import copy
from typing import Any

import pytest

from buildkit_operator.controller.apply_set import is_applied, stamped
from buildkit_operator.kube.diff import is_within
from buildkit_operator.kube.resources import Manifest
from tests.unit.make import changed, children_of, fake_certificates, make_builder


def deployment() -> Manifest:
    builder = make_builder(
        env=[{"name": "A", "value": "1"}, {"name": "B", "value": ""}], resources={"limits": {"memory": "1.5Gi"}}
    )
    return children_of(builder, fake_certificates(builder))[-1]


def as_stored(manifest: Manifest) -> Manifest:
    """Return the Deployment as the API server gives it back: with its defaults, and without what is empty."""
    live = copy.deepcopy(manifest)
    live["metadata"] |= {"uid": "1", "generation": 1, "resourceVersion": "5"}
    live["spec"]["progressDeadlineSeconds"] = 600
    pod = live["spec"]["template"]["spec"]
    pod |= {"dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "securityContext": {}}
    container = pod["containers"][0]
    container["terminationMessagePath"] = "/dev/termination-log"
    container["resources"]["limits"]["memory"] = "1536Mi"
    next(variable for variable in container["env"] if variable["name"] == "B").pop("value")
    live["status"] = {"replicas": 1}
    return live


def test_several_mounts_of_one_volume_are_told_apart() -> None:
    builder = make_builder(isolation="UserNamespace")
    wanted = stamped(children_of(builder, fake_certificates(builder))[-1])

    assert is_applied(wanted, copy.deepcopy(wanted))


def test_what_was_applied_needs_no_write() -> None:
    wanted = stamped(deployment())

    assert is_applied(wanted, as_stored(wanted))


def test_a_field_that_is_no_longer_wanted_needs_one() -> None:
    before = stamped(changed(deployment(), "spec.template.spec.priorityClassName", "high"))

    assert not is_applied(stamped(deployment()), as_stored(before))


def test_the_stamp_is_the_same_for_the_same_manifest_in_another_order() -> None:
    manifest = deployment()
    turned = dict(reversed(manifest.items()))

    assert stamped(manifest)["metadata"]["annotations"] == stamped(turned)["metadata"]["annotations"]


def test_stamping_changes_nothing_of_the_manifest_given() -> None:
    manifest = deployment()
    before = copy.deepcopy(manifest)

    stamped(manifest)

    assert manifest == before


def test_a_lost_stamp_needs_a_write() -> None:
    wanted = stamped(deployment())
    live = as_stored(wanted)
    live["metadata"]["annotations"] = None

    assert not is_applied(wanted, live)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.replicas", 5),
        ("spec.template.spec.containers.0.image", "example.com/other"),
        ("spec.template.spec.containers.0.env.1.value", "2"),
        ("spec.template.spec.containers.0.env.2.value", "set"),
        ("spec.template.spec.containers.0.command", ["sleep", "1"]),
        ("spec.template.spec.containers.0.command", ["/bin/sh"]),
        ("spec.template.spec.containers.0.resources.limits.memory", "1Gi"),
        ("spec.template.spec.automountServiceAccountToken", True),
        ("spec.template.spec.volumes", []),
        ("metadata.labels", {}),
        ("metadata.ownerReferences", []),
        ("metadata.ownerReferences.0.controller", False),
    ],
)
def test_a_field_that_somebody_changed_needs_a_write(path: str, value: Any) -> None:
    wanted = stamped(deployment())

    assert not is_applied(wanted, changed(as_stored(wanted), path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.labels.team", "builds"),
        ("metadata.annotations.note", "mine"),
        ("spec.template.spec.hostname", "builder"),
        ("metadata.finalizers", ["example.com/keep"]),
    ],
)
def test_what_somebody_added_needs_none(path: str, value: Any) -> None:
    wanted = stamped(deployment())

    assert is_applied(wanted, changed(as_stored(wanted), path, value))


def test_items_that_others_added_to_a_list_by_name_need_none() -> None:
    wanted = stamped(deployment())
    live = as_stored(wanted)
    live["spec"]["template"]["spec"]["containers"].insert(0, {"name": "theirs"})
    live["metadata"]["ownerReferences"].append({"name": "another", "uid": "2", "kind": "Thing", "apiVersion": "v1"})

    assert is_applied(wanted, live)


def test_items_of_a_list_without_names_are_compared_in_order() -> None:
    wanted = [{"key": "a"}, {"key": "b"}]

    assert is_within(wanted, [{"key": "a", "more": 1}, {"key": "b"}])
    assert not is_within(wanted, [{"key": "b"}, {"key": "a"}])
    assert not is_within(wanted, [{"key": "a"}, {"key": "b"}, {"key": "c"}])


@pytest.mark.parametrize("value", [False, 0])
def test_false_and_zero_that_somebody_removed_need_a_write(value: Any) -> None:
    assert not is_within({"automountServiceAccountToken": value}, {})


@pytest.mark.parametrize("value", [{}, [], "", None])
def test_what_is_empty_may_be_left_out_by_the_server(value: Any) -> None:
    assert is_within({"field": value}, {})


def test_a_quantity_is_compared_by_its_value_where_quantities_stand() -> None:
    assert is_within({"sizeLimit": "1024Mi"}, {"sizeLimit": "1Gi"})
    assert is_within({"limits": {"cpu": "0.5"}}, {"limits": {"cpu": "500m", "memory": "1Gi"}})
    assert not is_within({"limits": {"cpu": "0.5"}}, {"limits": {"memory": "1Gi"}})
    assert not is_within({"value": "1024Mi"}, {"value": "1Gi"})


def test_another_kind_of_value_is_a_change() -> None:
    assert not is_within({"a": {"b": 1}}, {"a": [1]})
    assert not is_within({"a": [1]}, {"a": {"b": 1}})
    assert not is_within({"limits": {"cpu": "1"}}, {"limits": "1"})
