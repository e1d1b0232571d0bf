"""The cache believes the newest news only, and knows whose a child is."""

from typing import Any

import pytest

from buildkit_operator.api import names
from buildkit_operator.controller.watched import BUILDERS
from buildkit_operator.engine.cache import Cache
from buildkit_operator.kube.resources import CONFIG_MAP, DEPLOYMENT, POD, SERVICE, Manifest

BUILDER = BUILDERS.primary
KEY = ("ci", "main")


def manifest(name: str, version: int, *, uid: str = "u1", namespace: str = "ci", **metadata: Any) -> Manifest:
    identity = {"name": name, "namespace": namespace, "uid": uid, "resourceVersion": str(version)}
    return {"apiVersion": "v1", "kind": "Any", "metadata": {**identity, **metadata}}


def child(name: str, version: int, owner: str | None = "main", **more: Any) -> Manifest:
    """Return one that a builder controls, as all of ours do; without a label where `owner` is None."""
    labels = {} if owner is None else {names.OWNER_LABEL: owner}
    controller = {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": owner, "uid": "b", "controller": True}
    return manifest(name, version, labels=labels, ownerReferences=[controller], **more)


@pytest.fixture
def cache() -> Cache:
    return Cache(BUILDERS)


def version_of(found: Manifest | None) -> str | None:
    return None if found is None else found["metadata"]["resourceVersion"]


def test_a_builder_is_news_to_itself(cache: Cache) -> None:
    assert cache.put(BUILDER, manifest("main", 5)) == {KEY}
    assert version_of(cache.get(BUILDER, "ci", "main")) == "5"
    assert cache.primary_keys() == [KEY]


def test_a_child_is_news_to_its_builder(cache: Cache) -> None:
    assert cache.put(CONFIG_MAP, child("toml", 5)) == {KEY}


@pytest.mark.parametrize("version", [pytest.param(5, id="the same"), pytest.param(4, id="older"), 3])
def test_what_is_known_or_older_is_no_news(cache: Cache, version: int) -> None:
    cache.put(CONFIG_MAP, child("toml", 5))

    assert cache.put(CONFIG_MAP, child("toml", version)) == frozenset()
    assert version_of(cache.get(CONFIG_MAP, "ci", "toml")) == "5"


def test_it_says_what_is_no_news_without_being_shown_it(cache: Cache) -> None:
    cache.put(CONFIG_MAP, child("toml", 5))

    assert cache.knows(CONFIG_MAP, ("ci", "toml"), "u1", 4)
    assert cache.knows(CONFIG_MAP, ("ci", "toml"), "u1", 5)
    assert not cache.knows(CONFIG_MAP, ("ci", "toml"), "u1", 6)
    assert not cache.knows(CONFIG_MAP, ("ci", "toml"), "u2", 5), "another one of its name"
    assert not cache.knows(SERVICE, ("ci", "toml"), "u1", 5)


def test_versions_are_compared_as_numbers(cache: Cache) -> None:
    cache.put(CONFIG_MAP, child("toml", 9))

    assert cache.put(CONFIG_MAP, child("toml", 10)) == {KEY}


def test_a_child_that_changes_hands_is_news_to_both(cache: Cache) -> None:
    cache.put(CONFIG_MAP, child("toml", 5))

    assert cache.put(CONFIG_MAP, child("toml", 6, "other")) == {KEY, ("ci", "other")}
    assert cache.children(KEY) == []


def test_a_child_without_our_label_is_forgotten(cache: Cache) -> None:
    cache.put(CONFIG_MAP, child("toml", 5))

    assert cache.put(CONFIG_MAP, child("toml", 6, None)) == {KEY}
    assert cache.get(CONFIG_MAP, "ci", "toml") is None


def test_a_deleted_child_is_news_to_its_builder(cache: Cache) -> None:
    cache.put(CONFIG_MAP, child("toml", 5))

    assert cache.remove(CONFIG_MAP, child("toml", 6)) == {KEY}
    assert cache.get(CONFIG_MAP, "ci", "toml") is None
    assert cache.children(KEY) == []


def test_an_answer_that_arrives_after_the_deletion_does_not_bring_the_object_back(cache: Cache) -> None:
    cache.put(CONFIG_MAP, child("toml", 5))
    cache.remove(CONFIG_MAP, child("toml", 7))

    assert cache.put(CONFIG_MAP, child("toml", 6)) == frozenset()
    assert cache.get(CONFIG_MAP, "ci", "toml") is None


def test_a_child_that_gets_its_label_back_is_seen_again(cache: Cache) -> None:
    cache.put(CONFIG_MAP, child("toml", 5))
    cache.remove(CONFIG_MAP, child("toml", 6))

    assert cache.put(CONFIG_MAP, child("toml", 7)) == {KEY}


def test_the_deletion_of_a_predecessor_leaves_the_successor(cache: Cache) -> None:
    cache.put(CONFIG_MAP, child("toml", 5, uid="old"))
    cache.put(CONFIG_MAP, child("toml", 8, uid="new"))

    assert cache.remove(CONFIG_MAP, child("toml", 7, uid="old")) == frozenset()
    assert version_of(cache.get(CONFIG_MAP, "ci", "toml")) == "8"


def test_a_list_reveals_what_is_gone(cache: Cache) -> None:
    cache.put(CONFIG_MAP, child("kept", 5, uid="u1"))
    cache.put(CONFIG_MAP, child("gone", 5, "other", uid="u2"))

    assert cache.prune(CONFIG_MAP, None, ["u1"], 9) == {("ci", "other")}
    assert cache.get(CONFIG_MAP, "ci", "kept") is not None
    assert cache.get(CONFIG_MAP, "ci", "gone") is None


def test_what_is_newer_than_the_list_stays(cache: Cache) -> None:
    cache.put(CONFIG_MAP, child("new", 10))

    assert cache.prune(CONFIG_MAP, None, [], 9) == frozenset()


def test_the_list_of_a_namespace_says_nothing_about_others(cache: Cache) -> None:
    cache.put(CONFIG_MAP, child("toml", 5, namespace="other"))

    assert cache.prune(CONFIG_MAP, "ci", [], 9) == frozenset()


def test_children_are_found_by_label_in_their_namespace(cache: Cache) -> None:
    cache.put(SERVICE, child("b", 1, uid="1"))
    cache.put(DEPLOYMENT, child("a", 2, uid="2"))
    cache.put(POD, child("c", 3, uid="3") | {"status": {"phase": "Running"}})
    cache.put(POD, child("d", 4, "other", uid="4"))
    cache.put(POD, child("e", 5, uid="5", namespace="elsewhere"))

    assert [found["metadata"]["name"] for found in cache.children(KEY)] == ["a", "c", "b"]
    assert [found["metadata"]["name"] for found in cache.children(KEY, POD)] == ["c"]


def test_the_record_of_who_wrote_what_is_not_kept(cache: Cache) -> None:
    written = manifest("main", 5, managedFields=[{"manager": "kubectl"}], annotations={"a": "b"})

    cache.put(BUILDER, written)

    found = cache.get(BUILDER, "ci", "main")
    assert found is not None
    assert found["metadata"].keys().isdisjoint({"managedFields", "annotations"})
    assert "managedFields" in written["metadata"], "others hold the original"


def test_of_a_pod_only_its_state_is_kept(cache: Cache) -> None:
    pod = child("p", 5) | {
        "spec": {"nodeName": "n1", "containers": [{"name": "buildkitd"}]},
        "status": {"phase": "Pending", "qosClass": "Burstable", "conditions": []},
    }

    cache.put(POD, pod)

    found = cache.get(POD, "ci", "p")
    assert found is not None
    assert found["spec"] == {"nodeName": "n1"}
    assert found["status"] == {"phase": "Pending", "conditions": []}


# A builder that depends on another


CONSUMER = ("team", "team")


def consumer(version: int, provider: str | None) -> Manifest:
    shared = {} if provider is None else {"from": {"namespace": "ci", "name": provider}}
    return {**manifest("team", version, uid="u2", namespace="team"), "spec": {"shared": shared}}


def test_news_of_a_provider_is_news_to_its_consumers(cache: Cache) -> None:
    cache.put(BUILDER, consumer(5, "main"))

    assert cache.put(BUILDER, manifest("main", 6)) == {KEY, CONSUMER}
    assert cache.put(BUILDER, manifest("main", 7)) == {KEY, CONSUMER}
    assert cache.remove(BUILDER, manifest("main", 8)) == {KEY, CONSUMER}


def test_news_of_a_providers_children_is_not(cache: Cache) -> None:
    cache.put(BUILDER, consumer(5, "main"))

    assert cache.put(CONFIG_MAP, child("toml", 6)) == {KEY}


def test_news_of_a_consumers_pods_is_news_to_its_provider(cache: Cache) -> None:
    cache.put(BUILDER, consumer(5, "main"))
    pod = child("runner", 6, "team", namespace="team")

    assert cache.put(POD, pod) == {CONSUMER, KEY}
    assert cache.put(CONFIG_MAP, child("toml", 7, "team", namespace="team")) == {CONSUMER}
    assert cache.remove(POD, child("runner", 8, "team", namespace="team")) == {CONSUMER, KEY}


@pytest.mark.parametrize("other", [None, "other"])
def test_who_has_turned_away_hears_no_more(cache: Cache, other: str | None) -> None:
    cache.put(BUILDER, consumer(5, "main"))
    cache.put(BUILDER, consumer(6, other))

    assert cache.put(BUILDER, manifest("main", 7)) == {KEY}
    assert cache.dependents(("ci", "other")) == ({CONSUMER} if other else frozenset())


def test_a_deleted_consumer_hears_no_more(cache: Cache) -> None:
    cache.put(BUILDER, consumer(5, "main"))
    cache.remove(BUILDER, consumer(6, "main"))

    assert cache.put(BUILDER, manifest("main", 7)) == {KEY}
