"""The rows of child kinds: each says the same by its rights as by how the kind is read, applied and pruned."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from buildkit_operator.api import names
from buildkit_operator.controller.apply_set import is_applied, stamped
from buildkit_operator.controller.child_kinds import (
    BY_KIND,
    BY_RESOURCE,
    CHILD_KINDS,
    LONGEST_KEPT,
    Apply,
    ByName,
    ChildKind,
    Watched,
    keep_pod_state,
)
from buildkit_operator.controller.watched import BUILDERS
from buildkit_operator.kube.resources import (
    CERTIFICATE,
    CONFIG_MAP,
    DEPLOYMENT,
    KNOWN,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    SECRET,
    Manifest,
)
from tests.unit.make import FAKE_CERTIFICATES, changed, children_of, make_builder, make_claim, make_resource

EVERY_KIND = pytest.mark.parametrize("kind", CHILD_KINDS, ids=lambda kind: kind.resource.kind)


def test_each_kind_has_one_row() -> None:
    assert len(BY_RESOURCE) == len(CHILD_KINDS)


@EVERY_KIND
def test_rights_are_those_that_reading_takes(kind: ChildKind) -> None:
    listing = {"list", "watch"} & set(kind.verbs)

    assert listing == ({"list", "watch"} if isinstance(kind.read, Watched) else set())
    assert isinstance(kind.read, Watched) or "get" in kind.verbs


@EVERY_KIND
def test_rights_are_those_that_writing_takes(kind: ChildKind) -> None:
    if kind.apply is not Apply.NEVER:
        assert {"get", "create", "patch"} <= set(kind.verbs), "server-side apply is create and patch"
    assert ("delete" in kind.verbs) == (kind.apply is not Apply.NEVER), "what is applied is also taken back"
    assert not kind.pruned or kind.apply is not Apply.NEVER, "what others make is theirs to delete"


@EVERY_KIND
def test_the_client_knows_every_kind(kind: ChildKind) -> None:
    assert kind.resource in KNOWN


@EVERY_KIND
def test_a_kind_that_may_be_missing_is_not_watched_as_the_cache_would_wait_for_it(kind: ChildKind) -> None:
    if isinstance(kind.read, ByName) and kind.read.optional:
        assert kind.resource not in BUILDERS.all


def test_secrets_are_read_by_name_alone() -> None:
    assert SECRET not in BUILDERS.all
    assert BY_RESOURCE[CERTIFICATE].read.optional  # type: ignore[union-attr]


def test_of_a_daemons_pod_the_cache_keeps_where_it_is_asked_for_builds_and_its_cost() -> None:
    cost = "controller.kubernetes.io/pod-deletion-cost"
    pod = {
        "metadata": {"name": "demo", "namespace": "ci", "uid": "1", "annotations": {"long": "x", cost: "3"}},
        "status": {"podIP": "10.0.0.1", "initContainerStatuses": [{"name": "buildkit-front", "state": {}}]},
    }

    kept = BUILDERS.keep(POD, pod)

    assert kept is not None
    assert kept["status"]["podIP"] == "10.0.0.1"
    assert kept["metadata"]["annotations"] == {cost: "3"}


def test_of_pods_the_cache_keeps_no_more_than_their_state() -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "demo", "namespace": "ci", "uid": "1", "annotations": {"long": "x"}},
        "spec": {"nodeName": "one", "containers": [{"name": "job", "env": [{"name": "TOKEN", "value": "secret"}]}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1"},
    }

    assert BUILDERS.keep(POD, pod) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "demo", "namespace": "ci", "uid": "1"},
        "spec": {"nodeName": "one"},
        "status": {"phase": "Running"},
    }


# What others may write, and how much of it is kept

WANTED = [m for m in map(stamped, children_of(make_builder(), FAKE_CERTIFICATES)) if m["kind"] != "Secret"]
EVERY_CHILD = pytest.mark.parametrize("wanted", WANTED, ids=lambda m: f"{m['kind']} {m['metadata']['name']}")


def live(wanted: Manifest, **metadata: Any) -> Manifest:
    identity = {"uid": "1", "resourceVersion": "5", "generation": 1}
    return {**wanted, "metadata": {**wanted["metadata"], **identity, **metadata}}


def kept(found: Manifest) -> Manifest:
    resource = BY_KIND[found["kind"]].resource
    result = BUILDERS.keep(resource, found)
    assert result is not None
    assert BUILDERS.keep(resource, result) == result, "what was kept once is kept as it is"
    return result


def wanted_config_map() -> Manifest:
    return next(m for m in WANTED if m["kind"] == "ConfigMap")


@EVERY_CHILD
def test_what_was_applied_is_as_it_should_be(wanted: Manifest) -> None:
    assert is_applied(wanted, kept(live(wanted)))


@EVERY_CHILD
def test_what_others_add_is_left_alone(wanted: Manifest) -> None:
    found = live(wanted)
    found["metadata"]["labels"] = {**found["metadata"]["labels"], "theirs": "x"}
    found["metadata"]["annotations"] = {**found["metadata"]["annotations"], "theirs": "x" * 10_000}

    assert is_applied(wanted, kept(found))


@EVERY_CHILD
@pytest.mark.parametrize("owners", [[], [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "uid": "b"}]])
def test_of_what_no_builder_controls_nothing_is_kept(wanted: Manifest, owners: list[Manifest]) -> None:
    of_others = live(wanted, ownerReferences=[{**owner, "controller": True} for owner in owners])

    assert BUILDERS.keep(BY_KIND[wanted["kind"]].resource, of_others) is None


def test_a_kind_of_another_group_is_no_builder() -> None:
    owner = {"apiVersion": "example.com/v1", "kind": names.KIND, "name": "demo", "uid": "b", "controller": True}

    assert BUILDERS.keep(CONFIG_MAP, live(wanted_config_map(), ownerReferences=[owner])) is None


@EVERY_CHILD
def test_other_owners_beside_the_builder_change_nothing(wanted: Manifest) -> None:
    others = [{"apiVersion": "v1", "kind": "Node", "name": f"n{n}", "uid": f"{n}"} for n in range(100)]
    owners = [*others, *wanted["metadata"]["ownerReferences"]]

    assert is_applied(wanted, kept(live(wanted, ownerReferences=owners)))


@pytest.mark.parametrize("key", wanted_config_map()["data"])
@pytest.mark.parametrize("change", [lambda text: text + " ", lambda text: text[:-1], lambda _: "", lambda _: None])
def test_every_change_of_a_text_is_found_without_the_text(key: str, change: Any) -> None:
    wanted = wanted_config_map()
    text = change(wanted["data"][key])
    data = {name: value for name, value in wanted["data"].items() if name != key}
    found = live({**wanted, "data": data if text is None else {**data, key: text}})

    assert not is_applied(wanted, kept(found))


def test_a_text_that_reads_like_a_digest_is_a_change() -> None:
    wanted = wanted_config_map()
    digests = kept(live(wanted))["data"]

    for text in (
        str(digests["buildkitd.toml"]),
        json.dumps(digests["buildkitd.toml"]),
        digests["buildkitd.toml"]["sha256"],
    ):
        found = changed(live(wanted), "data", {**wanted["data"], "buildkitd.toml": text})
        assert not is_applied(wanted, kept(found))


def test_a_change_of_a_long_annotation_is_found() -> None:
    wanted = {**wanted_config_map()}
    wanted["metadata"] = {**wanted["metadata"], "annotations": {"long": "x" * 5000}}

    assert is_applied(wanted, kept(live(wanted)))
    assert not is_applied(wanted, kept(live(wanted, annotations={"long": "x" * 4999 + "y"})))


@pytest.mark.parametrize(
    "found",
    [
        live(wanted_config_map()) | {"data": {"a": "x" * 1_000_000}},
        live(wanted_config_map()) | {"binaryData": {"a": "x" * 1_000_000}},
        live(wanted_config_map()) | {"data": {f"k{n}": "" for n in range(50_000)}},
        live(wanted_config_map(), annotations={"a": "x" * 250_000}),
        live(wanted_config_map(), annotations={f"k{n}": "" for n in range(20_000)}),
        live(wanted_config_map(), labels={f"k{n}": "" for n in range(50_000)}),
        live(wanted_config_map(), finalizers=[f"example.com/{n}" for n in range(50_000)]),
        changed(live(next(m for m in WANTED if m["kind"] == "Deployment")), "spec.template.spec.containers.0.env", [
            {"name": f"N{n}", "value": "x"} for n in range(30_000)
        ]),
    ],
)  # fmt: skip
def test_of_a_child_that_others_made_long_little_is_kept(found: Manifest) -> None:
    assert len(json.dumps(kept(found))) <= LONGEST_KEPT
    assert kept(found)["metadata"]["ownerReferences"] == found["metadata"]["ownerReferences"], "whose it is, is known"


def test_of_a_workload_that_others_made_long_its_state_is_kept() -> None:
    deployment = live(next(m for m in WANTED if m["kind"] == "Deployment")) | {"status": {"replicas": 1}}
    long = changed(deployment, "spec.template.spec.containers.0.env", [{"name": f"N{n}"} for n in range(30_000)])

    found = kept(long)

    assert found["status"] == {"replicas": 1}
    assert found["spec"]["replicas"] == deployment["spec"]["replicas"]
    assert not is_applied(deployment, found)
    assert BUILDERS.keep(DEPLOYMENT, found) == found


def test_of_a_runner_pod_only_our_containers_and_labels_are_kept() -> None:
    containers = [{"name": name, "ready": True} for name in ("job", *names.SIDECARS)]
    pod = {
        "metadata": {
            "name": "demo", "namespace": "ci", "uid": "1", "resourceVersion": "5",
            "labels": {names.OWNER_LABEL: "a", names.INJECTED_LABEL: "a", **{f"k{n}": "" for n in range(10_000)}},
            "annotations": {"a": "x" * 250_000},
        },
        "spec": {"containers": [{"name": "job", "env": [{"name": "A", "value": "x" * 1_000_000}]}]},
        "status": {"containerStatuses": containers},
    }  # fmt: skip

    found = BUILDERS.keep(POD, pod)

    assert found is not None
    assert len(json.dumps(found)) < 500
    assert found["metadata"]["labels"] == {names.OWNER_LABEL: "a", names.INJECTED_LABEL: "a"}
    assert [one["name"] for one in found["status"]["containerStatuses"]] == [*names.SIDECARS]


def test_of_a_claim_only_its_sizes_and_state_are_kept() -> None:
    claim = make_claim(0)
    claim["metadata"] |= {"annotations": {"a": "x" * 250_000}, "namespace": "ci", "resourceVersion": "1"}

    found = BUILDERS.keep(PERSISTENT_VOLUME_CLAIM, claim)

    assert found is not None
    assert len(json.dumps(found)) < 500
    assert found["spec"] == claim["spec"]


def test_of_a_builder_the_notes_of_others_are_not_kept() -> None:
    builder = make_resource()
    builder["metadata"] |= {"annotations": {"a": "x"}, "labels": {"a": "x"}, "managedFields": [{}], "finalizers": ["x"]}

    assert BUILDERS.keep(BUILDERS.primary, builder) == make_resource()


def test_of_a_runner_pod_the_cache_keeps_what_was_injected_and_whether_the_job_has_begun() -> None:
    sidecar = {"name": "buildkitd", "image": "buildkit", "command": ["run"], "restartPolicy": "Always"}
    config = {"name": "buildkit-config", "configMap": {"name": "demo-buildkitd-sidecar"}}
    state = {"running": {"startedAt": "2026-11-24T12:00:00Z"}}
    pod = {
        "metadata": {"name": "job", "namespace": "ci", "uid": "1"},
        "spec": {
            "initContainers": [{**sidecar, "env": [{"name": "TOKEN", "value": "x"}]}, {"name": "clone"}],
            "volumes": [config, {"name": "work"}],
        },
        "status": {"containerStatuses": [{"name": "one", "state": state}, {"name": "two", "state": state}]},
    }

    kept = keep_pod_state(pod)
    assert kept["spec"] == {"initContainers": [sidecar], "volumes": [config]}
    assert kept["status"] == {"containerStatuses": [{"name": "one", "state": {"running": {}}}]}


def test_a_sidecar_that_is_too_long_is_none_of_ours() -> None:
    long = {"name": "buildkitd", "command": ["x" * 5000], "restartPolicy": "Always"}
    pod = {"metadata": {"name": "job", "namespace": "ci", "uid": "1"}, "spec": {"initContainers": [long]}}

    kept = keep_pod_state(pod)
    assert kept["spec"] == {}


def test_a_builder_has_no_object_of_a_name_that_prune_would_not_look_for() -> None:
    golden = Path(__file__).parents[1] / "golden"
    for file in golden.glob("*/children.yaml"):
        for manifest in yaml.safe_load_all(file.read_text()):
            builder = manifest["metadata"]["ownerReferences"][0]["name"]
            assert manifest["metadata"]["name"] in BY_KIND[manifest["kind"]].names(builder)
