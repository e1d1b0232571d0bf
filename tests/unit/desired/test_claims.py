"""A builder's claims: which they are, which are told to grow, and how much room its daemons can count on."""

import tomllib
from collections.abc import Mapping
from typing import Any

import pytest

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.desired import children
from buildkit_operator.desired.claims import NO_CLAIMS, Claims, request, room, seen_claims, to_grow
from buildkit_operator.desired.isolation import Confinement
from buildkit_operator.desired.platform import Platform
from buildkit_operator.kube.resources import Manifest
from tests.unit.make import make_builder, make_claim

GIB = 1024**3


def with_claims(size: str = "50Gi", replicas: int = 2, **claim: Any) -> BuildKitBuilder:
    return make_builder(cache={"size": size, "persistentVolumeClaim": claim}, shared={"replicas": replicas})


def seen(builder: BuildKitBuilder, *claims: Manifest, refusals: Mapping[str, str] | None = None) -> Claims:
    return seen_claims(builder, [], claims, refusals or {})


def stateful_set(builder: BuildKitBuilder, claims: Claims = NO_CLAIMS) -> Manifest:
    return children(builder, Platform(), None, Confinement(), claims)[-1]


def as_stored(template: Manifest) -> Manifest:
    """Return a claim template as the API server gives it back."""
    metadata = {**template["metadata"], "creationTimestamp": None}
    spec = {**template["spec"], "resources": {"requests": {"storage": "10Gi"}}}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": spec,
        "status": {"phase": "Pending"},
    }


# Which they are


def test_a_claim_belongs_to_a_replica_by_its_name() -> None:
    builder = with_claims(replicas=2)

    found = seen(builder, make_claim(1), make_claim(0), make_claim(2), make_claim(0, name="theirs"))

    assert [claim.name for claim in found.used] == [
        "buildkit-state-demo-buildkitd-0",
        "buildkit-state-demo-buildkitd-1",
    ]


def test_a_builder_without_claims_has_none_whatever_is_left_of_them() -> None:
    assert seen(make_builder(), make_claim(0)) == NO_CLAIMS


# The template


def test_a_class_is_named_only_where_one_is_asked_for() -> None:
    (without,) = stateful_set(with_claims())["spec"]["volumeClaimTemplates"]
    (fast,) = stateful_set(with_claims(storageClassName="fast"))["spec"]["volumeClaimTemplates"]

    assert "storageClassName" not in without["spec"]
    assert fast["spec"]["storageClassName"] == "fast"


def test_a_template_that_is_there_is_applied_as_it_is() -> None:
    before = stateful_set(with_claims("10240Mi"))
    live = as_stored(before["spec"]["volumeClaimTemplates"][0])

    # The same object with the same digest: a reconcile after the first has nothing to write.
    assert stateful_set(with_claims("10240Mi"), Claims({"demo-buildkitd": live})) == before
    (kept,) = stateful_set(with_claims("50Gi"), Claims({"demo-buildkitd": live}))["spec"]["volumeClaimTemplates"]
    assert kept["spec"]["resources"] == {"requests": {"storage": "10Gi"}}


def test_the_claims_belong_to_nobody_but_their_label_says_whose_they_are() -> None:
    (template,) = stateful_set(with_claims())["spec"]["volumeClaimTemplates"]

    assert "ownerReferences" not in template["metadata"]
    assert template["metadata"]["labels"]["buildkit-operator.dev/owner"] == "demo"


def test_the_state_is_on_the_claim_alone() -> None:
    pod = stateful_set(with_claims())["spec"]["template"]["spec"]

    assert "buildkit-state" not in {volume["name"] for volume in pod["volumes"]}
    assert "buildkit-state" in {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}


# Growth


def test_claims_grow_to_the_size_that_is_asked_for() -> None:
    builder = with_claims("50Gi", replicas=3)
    found = seen(builder, make_claim(0, "50Gi"), make_claim(1, "20Gi"), make_claim(2, "20Gi", phase="Pending"))

    assert [claim.name for claim in to_grow(builder, found)] == ["buildkit-state-demo-buildkitd-1"]


def test_a_claim_that_is_larger_is_left_alone() -> None:
    builder = with_claims("20Gi")

    assert to_grow(builder, seen(builder, make_claim(0, "50Gi"))) == []


def test_only_the_size_of_that_very_claim_is_asked_for() -> None:
    builder = with_claims("50Gi")
    (claim,) = to_grow(builder, seen(builder, make_claim(0, "20Gi")))

    assert request(builder, claim) == {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "buildkit-state-demo-buildkitd-0", "namespace": "ci", "uid": "claim-0"},
        "spec": {"resources": {"requests": {"storage": "50Gi"}}},
    }


# Room


def test_before_there_are_volumes_the_size_that_is_asked_for_counts() -> None:
    builder = with_claims("50Gi")

    assert room(builder, NO_CLAIMS) == "50Gi"
    assert room(builder, seen(builder, make_claim(0, phase="Pending"))) == "50Gi"
    assert room(make_builder(cache={"size": "7Gi"}), NO_CLAIMS) == "7Gi"


def test_the_smallest_volume_counts() -> None:
    builder = with_claims("50Gi")

    assert room(builder, seen(builder, make_claim(0, capacity="100Gi"), make_claim(1, capacity="60Gi"))) == "60Gi"


def test_a_volume_counts_with_its_old_size_until_it_has_grown() -> None:
    builder = with_claims("50Gi", replicas=1)

    assert room(builder, seen(builder, make_claim(0, "50Gi", capacity="20Gi"))) == "20Gi"
    assert room(builder, seen(builder, make_claim(0, "50Gi", capacity="50Gi"))) == "50Gi"


def test_a_new_replicas_claim_does_not_count_before_it_has_grown_as_the_others_have() -> None:
    builder = with_claims("50Gi")

    assert room(builder, seen(builder, make_claim(0, "50Gi"), make_claim(1, "20Gi"))) == "50Gi"


STUCK = {"type": "ControllerResizeError", "status": "True", "message": "no space"}


@pytest.mark.parametrize(
    ("claim", "refusals"),
    [(make_claim(1, "20Gi"), {"claim-1": "no"}), (make_claim(1, "50Gi", capacity="20Gi", conditions=[STUCK]), {})],
    ids=["refused", "failed"],
)
def test_one_that_will_not_grow_counts_all_the_same(claim: Manifest, refusals: dict[str, str]) -> None:
    builder = with_claims("50Gi")

    assert room(builder, seen(builder, make_claim(0, "50Gi"), claim, refusals=refusals)) == "20Gi"


def test_a_volume_that_has_grown_gives_more_room_to_the_cache_and_rolls_the_daemons() -> None:
    builder = with_claims("50Gi", replicas=1)

    def outcome(capacity: str) -> tuple[int, str]:
        objects = children(
            builder, Platform(), None, Confinement(), seen(builder, make_claim(0, "50Gi", capacity=capacity))
        )
        (config,) = [found for found in objects if found["kind"] == "ConfigMap" and "buildkitd.toml" in found["data"]]
        policy = tomllib.loads(config["data"]["buildkitd.toml"])["worker"]["oci"]["gcpolicy"][-1]
        annotations = objects[-1]["spec"]["template"]["metadata"]["annotations"]
        return policy["maxUsedSpace"], annotations["buildkit-operator.dev/config-hash"]

    before, after = outcome("20Gi"), outcome("50Gi")
    assert (before[0], after[0]) == (12 * GIB, 30 * GIB)
    assert before[1] != after[1]
