"""A shared builder with its cache on claims: they outlive what uses them, grow, and are told of where they cannot."""

import time
import tomllib
import urllib.error
import uuid
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

import pytest

from buildkit_operator.kube.resources import Manifest
from hack.cluster.controlplane import ControlPlane
from tests.integration.builders.builder_namespace import Builders, owned_by_workload
from tests.integration.builders.conftest import StartOperator

GIB = 1024**3


@pytest.fixture
def make_class(builders: Builders) -> Callable[..., str]:
    """Return a function that makes a StorageClass, whose claims may grow or may not."""
    return lambda **fields: storage_class(builders.control_plane, **fields)


def storage_class(control_plane: ControlPlane, **fields: object) -> str:
    name = f"class-{uuid.uuid4().hex[:8]}"
    manifest = {"metadata": {"name": name}, "provisioner": "nobody", **fields}
    control_plane.request("POST", "/apis/storage.k8s.io/v1/storageclasses", manifest)
    return name


def create(builders: Builders, chosen: str, size: str = "20Gi", replicas: int = 1, **retention: str) -> None:
    claim = {"storageClassName": chosen, **({"retentionPolicy": retention} if retention else {})}
    builders.create(cache={"size": size, "persistentVolumeClaim": claim}, shared={"replicas": replicas})
    builders.wait("the StatefulSet", lambda: builders.get("statefulsets", "demo-buildkitd"))


def stateful_set(builders: Builders) -> Manifest:
    found = builders.get("statefulsets", "demo-buildkitd")
    assert found is not None
    return found


def template(builders: Builders) -> Manifest:
    (found,) = stateful_set(builders)["spec"]["volumeClaimTemplates"]
    return dict(found)


def make_claim(builders: Builders, ordinal: int) -> str:
    """Make the claim of a replica as the StatefulSet's controller does."""
    made = template(builders)
    name = f"buildkit-state-demo-buildkitd-{ordinal}"
    builders.post(
        "persistentvolumeclaims",
        {"metadata": {"name": name, "labels": made["metadata"]["labels"]}, "spec": made["spec"]},
    )
    return name


def bind(builders: Builders, name: str, capacity: str, **status: object) -> None:
    """Give a claim a volume as its provisioner does, or another size as its resizer does."""
    claim = builders.get("persistentvolumeclaims", name)
    assert claim is not None
    claim["status"] = {
        "phase": "Bound",
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": capacity},
        **status,
    }
    try:
        builders.control_plane.request("PUT", builders.path("persistentvolumeclaims", name) + "/status", claim)
    except urllib.error.HTTPError as refused:
        if refused.code != HTTPStatus.CONFLICT:
            raise
        bind(builders, name, capacity, **status)


def requested(builders: Builders, name: str) -> str:
    claim = builders.get("persistentvolumeclaims", name)
    assert claim is not None
    size: str = claim["spec"]["resources"]["requests"]["storage"]
    return size


def collected_above(builders: Builders) -> int:
    """Return the size of the cache above which the daemons delete of it, in GiB."""
    config = builders.get("configmaps", "demo-buildkitd")
    assert config is not None
    policies = tomllib.loads(config["data"]["buildkitd.toml"])["worker"]["oci"]["gcpolicy"]
    return int(policies[-1]["maxUsedSpace"] // GIB)


def make_ready(builders: Builders) -> str:
    """Play the StatefulSet's controller until the builder is ready and return what it says then."""
    builders.make_ready(plural="statefulsets")
    message: str = builders.condition()["message"]
    return message


# The objects


def test_a_builder_with_claims_has_a_stateful_set_instead_of_a_deployment(
    builders: Builders, make_class: Callable[..., str]
) -> None:
    create(builders, make_class(), whenScaled="Delete")

    children = builders.children()
    assert "statefulsets/demo-buildkitd" in children
    assert "deployments/demo-buildkitd" not in children
    spec = stateful_set(builders)["spec"]
    assert spec["serviceName"] == "demo-buildkitd-headless"
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Delete"}
    assert make_ready(builders) == "1 of 1 daemon ready."
    assert (builders.status()["replicas"], builders.status()["readyReplicas"]) == (1, 1)


def test_kubectl_scales_a_stateful_set(builders: Builders, make_class: Callable[..., str]) -> None:
    create(builders, make_class())

    builders.kubectl("scale", "bkb", "demo", "--replicas=3")

    builders.wait("three replicas", lambda: stateful_set(builders)["spec"]["replicas"] == 3)
    make_ready(builders)


def test_retention_can_be_changed(builders: Builders, make_class: Callable[..., str]) -> None:
    chosen = make_class()
    create(builders, chosen)

    builders.edit(cache={"persistentVolumeClaim": {"retentionPolicy": {"whenDeleted": "Delete"}}})

    builders.wait(
        "the policy",
        lambda: stateful_set(builders)["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Delete",
    )


def test_what_maps_ids_stays_while_there_are_claims(builders: Builders, make_class: Callable[..., str]) -> None:
    create(builders, make_class())
    builders.edit(highestID=200_000)
    builders.edit(highestID=300_000)

    for change, said in (
        ({"isolation": "UserNamespace"}, "isolation cannot be changed beside cache.persistentVolumeClaim"),
        ({"highestID": 200_000}, "highestID can only be raised beside cache.persistentVolumeClaim"),
        ({"highestID": None}, "highestID can only be raised beside cache.persistentVolumeClaim"),
    ):
        with pytest.raises(urllib.error.HTTPError) as refused:
            builders.edit(**change)
        assert said in refused.value.read().decode()

    # Without claims a cache ends with its pod.
    builders.edit(isolation="UserNamespace", highestID=None, cache={"persistentVolumeClaim": None})
    builders.edit(isolation="Rootless")


def test_pod_security_admits_the_pods_at_the_level_of_their_isolation(
    builders: Builders, make_class: Callable[..., str]
) -> None:
    level = {"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/enforce-version": "latest"}
    builders.kubectl("label", "namespace", builders.namespace, *(f"{key}={value}" for key, value in level.items()))
    claim = {"storageClassName": make_class()}
    builders.create(isolation="UserNamespace", cache={"persistentVolumeClaim": claim})
    builders.wait("the StatefulSet", lambda: builders.get("statefulsets", "demo-buildkitd"))
    spec = stateful_set(builders)["spec"]["template"]["spec"]
    volume = {"name": "buildkit-state", "persistentVolumeClaim": {"claimName": "any"}}
    pod = {"metadata": {"name": "demo-buildkitd-0"}, "spec": {**spec, "volumes": [*spec["volumes"], volume]}}

    made = builders.control_plane.request("POST", builders.path("pods") + "?dryRun=All", pod)

    assert made["spec"]["initContainers"][0]["securityContext"]["runAsUser"] == 0


def test_a_namespace_that_refuses_the_pods_is_told_though_the_stateful_set_does_not(
    builders: Builders, make_class: Callable[..., str]
) -> None:
    enforce = "pod-security.kubernetes.io/enforce"
    builders.kubectl("label", "namespace", builders.namespace, f"{enforce}=baseline")
    create(builders, make_class())

    ready = builders.wait_reason("PodSecurityDenied")

    assert f"{enforce}=privileged" in ready["message"]


def test_at_rest_nothing_is_written(builders: Builders, make_class: Callable[..., str]) -> None:
    # A size that the server spells in its own way, and a volume that is larger than asked for.
    create(builders, make_class(), "10240Mi")
    bind(builders, make_claim(builders, 0), "16Gi")
    builders.wait("the real size", lambda: collected_above(builders) == 9)
    make_ready(builders)
    builders.wait("all events", lambda: len(builders.events()) == 2)
    mark = builders.control_plane.mark()

    for number in range(3):
        builders.patch("statefulsets", "demo-buildkitd", {"metadata": {"labels": {"touched": str(number)}}})
        time.sleep(1)

    assert builders.writes(mark) == []


def test_a_claim_that_waits_is_told(builders: Builders, make_class: Callable[..., str]) -> None:
    create(builders, make_class())
    name = make_claim(builders, 0)
    builders.post(
        "pods",
        {
            "metadata": {
                "name": "demo-buildkitd-0",
                "labels": {"buildkit-operator.dev/owner": "demo"},
                "ownerReferences": owned_by_workload("StatefulSet", "demo-buildkitd"),
            },
            "spec": {"containers": [{"name": "buildkitd", "image": "none"}]},
        },
    )
    builders.play_controller(plural="statefulsets", readyReplicas=0, availableReplicas=0)

    builders.wait("the sentence", lambda: f"Waiting for the volume of {name}" in builders.condition()["message"])


# Growth


def test_claims_grow_and_the_cache_with_them(builders: Builders, make_class: Callable[..., str]) -> None:
    create(builders, make_class(allowVolumeExpansion=True), "20Gi")
    name = make_claim(builders, 0)
    bind(builders, name, "20Gi")
    make_ready(builders)
    assert collected_above(builders) == 12

    builders.edit(cache={"size": "50Gi"})

    builders.wait("the claim asks for more", lambda: requested(builders, name) == "50Gi")
    message = make_ready(builders)
    assert message == f"1 of 1 daemon ready. Growing to spec.cache.size 50Gi: {name} (20Gi)."
    assert collected_above(builders) == 12
    assert template(builders)["spec"]["resources"]["requests"]["storage"] == "20Gi"
    rolled_before = stateful_set(builders)["spec"]["template"]

    bind(builders, name, "50Gi")

    builders.wait("more room", lambda: collected_above(builders) == 30)
    # It is written after the ConfigMap.
    builders.wait("a roll", lambda: stateful_set(builders)["spec"]["template"] != rolled_before)
    assert make_ready(builders) == "1 of 1 daemon ready."


def test_a_claim_that_scaling_makes_grows_too_and_rolls_nobody(
    builders: Builders, make_class: Callable[..., str]
) -> None:
    create(builders, make_class(allowVolumeExpansion=True), "20Gi")
    first = make_claim(builders, 0)
    bind(builders, first, "20Gi")
    builders.edit(cache={"size": "50Gi"})
    builders.wait("the claim asks for more", lambda: requested(builders, first) == "50Gi")
    small = stateful_set(builders)["spec"]["template"]
    bind(builders, first, "50Gi")
    builders.wait("a roll for more room", lambda: stateful_set(builders)["spec"]["template"] != small)
    before = stateful_set(builders)["spec"]["template"]

    builders.edit(shared={"replicas": 2})
    second = make_claim(builders, 1)
    assert requested(builders, second) == "20Gi"
    bind(builders, second, "20Gi")

    builders.wait("the new claim asks for more", lambda: requested(builders, second) == "50Gi")
    bind(builders, second, "50Gi")
    assert make_ready(builders) == "2 of 2 daemons ready."
    assert stateful_set(builders)["spec"]["template"] == before


def test_where_the_class_lets_no_claim_grow_a_sentence_says_so_and_the_daemons_go_on(
    builders: Builders, make_class: Callable[..., str]
) -> None:
    create(builders, make_class(allowVolumeExpansion=False), "20Gi")
    name = make_claim(builders, 0)
    bind(builders, name, "20Gi")
    make_ready(builders)

    builders.edit(cache={"size": "50Gi"})

    message = make_ready(builders)
    assert f"Not grown to spec.cache.size 50Gi: {name} (20Gi), as the API server refuses it: " in message
    assert "the storageclass that provisions the pvc must support resize" in message
    assert message.endswith("Let the StorageClass allow volume expansion, or set spec.cache.size back.")
    assert [found["type"] for found in builders.status()["conditions"]] == ["Ready"]
    assert requested(builders, name) == "20Gi"
    assert collected_above(builders) == 12
    builders.wait_at_rest()
    mark = builders.control_plane.mark()

    for number in range(3):
        builders.patch("statefulsets", "demo-buildkitd", {"metadata": {"labels": {"touched": str(number)}}})
        time.sleep(1)

    assert builders.writes(mark) == []
    builders.edit(cache={"size": "20Gi"})
    builders.wait("no more of it", lambda: builders.condition()["message"] == "1 of 1 daemon ready.")


def test_a_claim_never_shrinks(builders: Builders, make_class: Callable[..., str]) -> None:
    create(builders, make_class(allowVolumeExpansion=True), "50Gi")
    name = make_claim(builders, 0)
    bind(builders, name, "50Gi")
    make_ready(builders)

    builders.edit(cache={"size": "20Gi"})

    builders.wait("the sentence", lambda: "A PVC never shrinks" in builders.condition()["message"])
    assert requested(builders, name) == "50Gi"
    assert collected_above(builders) == 30


# What claims outlive


def test_changing_to_claims_and_back_replaces_the_workload_and_keeps_the_claims(
    builders: Builders, make_class: Callable[..., str]
) -> None:
    builders.create()
    builders.make_ready()

    builders.edit(cache={"persistentVolumeClaim": {"storageClassName": make_class()}})
    builders.wait("no Deployment", lambda: builders.get("deployments", "demo-buildkitd") is None)
    name = make_claim(builders, 0)
    make_ready(builders)

    builders.edit(cache={"persistentVolumeClaim": None})
    builders.wait("no StatefulSet", lambda: builders.get("statefulsets", "demo-buildkitd") is None)
    builders.make_ready()
    assert builders.get("persistentvolumeclaims", name) is not None


CONTROLLERS = ("garbage-collector-controller", "statefulset-controller", "persistentvolumeclaim-protection-controller")


def test_what_becomes_of_the_claims_of_a_deleted_builder_is_its_own_choice(
    start_control_plane: Callable[..., ControlPlane], start_operator: StartOperator
) -> None:
    control_plane = start_control_plane(controllers=CONTROLLERS)
    chosen, name = storage_class(control_plane, allowVolumeExpansion=True), "buildkit-state-demo-buildkitd-0"
    teams = {policy: Builders(control_plane, policy.lower()) for policy in ("Retain", "Delete")}
    for team in teams.values():
        control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": team.namespace}})
    start_operator(control_plane)
    for policy, team in teams.items():
        create(team, chosen, "20Gi", whenDeleted=policy)
        team.wait("the claim", partial(team.get, "persistentvolumeclaims", name))
        bind(team, name, "20Gi")
    retaining, deleting = teams.values()
    before = retaining.get("persistentvolumeclaims", name)
    assert before is not None

    for team in teams.values():
        team.delete("buildkitbuilders", "demo")

    # Kubernetes' garbage collection looks for new kinds, such as ours, twice a minute.
    deleting.wait("the claim has gone", lambda: deleting.get("persistentvolumeclaims", name) is None, 90)
    retaining.wait("its StatefulSet has gone", lambda: retaining.get("statefulsets", "demo-buildkitd") is None, 90)
    assert retaining.get("persistentvolumeclaims", name) is not None

    # A builder of the same name takes the cache up again, and has it grow.
    create(retaining, chosen, "30Gi")

    retaining.wait("the claim grows", lambda: requested(retaining, name) == "30Gi")
    after = retaining.get("persistentvolumeclaims", name)
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert "ownerReferences" not in after["metadata"]
    assert retaining.condition("Stalled") == {}
