"""The rows of child kinds: each says the same by its rights as by how the kind is read, applied and pruned."""

import pytest

from buildkit_operator.controller.child_kinds import BY_RESOURCE, CHILD_KINDS, Apply, ByName, ChildKind, Watched
from buildkit_operator.controller.watched import BUILDERS
from buildkit_operator.kube.resources import CERTIFICATE, KNOWN, POD, SECRET

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


def test_of_pods_the_cache_keeps_no_more_than_their_state() -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "demo", "namespace": "ci", "uid": "1", "annotations": {"long": "x"}},
        "spec": {"nodeName": "one", "containers": [{"name": "job", "env": [{"name": "TOKEN", "value": "secret"}]}]},
        "status": {"phase": "Running", "podIP": "10.0.0.1"},
    }

    assert BUILDERS.transform(POD, pod) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "demo", "namespace": "ci", "uid": "1"},
        "spec": {"nodeName": "one"},
        "status": {"phase": "Running"},
    }
