"""What others of a namespace can write, and bad days: no builder is stopped, turned or left without a status by it."""

import time
import uuid
from typing import Any, Final

import pytest

from buildkit_operator.kube.resources import Manifest
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.test_problems import registry_with_ca
from tests.integration.builders.test_sidecar import NO_IMAGE, RUNNING, runner, tell

OWNER: Final = "buildkit-operator.dev/owner"
INJECTED: Final = "buildkit-operator.dev/injected"
SIDECAR: Final = "demo-buildkitd-sidecar"


@pytest.fixture
def sidecars(builders: Builders, policies: None) -> Builders:  # noqa: ARG001  they are in force
    """Return a namespace whose API server injects."""
    return builders


def reference(builder: Manifest) -> Manifest:
    """Return an owner reference to a builder, as anybody can write one."""
    of = {"apiVersion": builder["apiVersion"], "kind": builder["kind"], "name": builder["metadata"]["name"]}
    return {**of, "uid": builder["metadata"]["uid"], "controller": True}


def post_pod(builders: Builders, name: str, **metadata: Any) -> None:
    """Create a pod that no engine sees, with a container called as the daemon's is, and say that it fails."""
    spec = {"containers": [{"name": "buildkitd", "image": "example.com/none"}]}
    builders.post("pods", {"metadata": {"name": name, **metadata}, "spec": spec})
    state = {"name": "buildkitd", "image": "", "imageID": "", "ready": False, "restartCount": 0, **NO_IMAGE}
    builders.patch("pods", name, {"status": {"phase": "Pending", "containerStatuses": [state]}}, "status")


# What only has our label, or names us as its owner


def test_what_names_a_builder_as_its_owner_is_not_deleted_and_stops_nothing(sidecars: Builders) -> None:
    metadata: Manifest = {
        "name": "theirs",
        "labels": {OWNER: "demo"},
        "ownerReferences": [reference(sidecars.create())],
    }
    post_pod(sidecars, **metadata)
    sidecars.post("configmaps", {"metadata": metadata})
    sidecars.post("services", {"metadata": metadata, "spec": {"ports": [{"port": 80}]}})
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    sidecars.post("persistentvolumeclaims", {"metadata": metadata, "spec": claim})
    sidecars.make_ready()

    sidecars.edit(mode="Sidecar")
    sidecars.wait_reason("Available")
    sidecars.wait("ours are gone", lambda: sidecars.get("services", "demo-buildkitd") is None)

    for plural in ("pods", "configmaps", "services", "persistentvolumeclaims"):
        assert sidecars.get(plural, "theirs") is not None


def test_a_pod_with_our_labels_is_no_runner(sidecars: Builders) -> None:
    sidecars.create(mode="Sidecar")
    sidecars.wait_reason("Available")

    post_pod(sidecars, "theirs", labels={OWNER: "demo", INJECTED: "demo"})
    real = runner(sidecars, phase="Running", **RUNNING)
    sidecars.wait("the real one", lambda: sidecars.status()["pods"]["ready"] >= 1)
    sidecars.wait_at_rest()

    assert sidecars.status()["pods"] == {"injected": 1, "ready": 1, "failed": 0}
    sidecars.delete("pods", real + "?gracePeriodSeconds=0")
    sidecars.wait("none", lambda: sidecars.status()["pods"]["injected"] == 0)
    assert sidecars.condition()["status"] == "True"
    assert "no such image" not in sidecars.condition()["message"]
    assert sidecars.events("theirs") == []


def test_a_pod_with_our_label_is_no_daemon(builders: Builders) -> None:
    builders.create()
    builders.wait_for_deployment()
    builders.play_controller(readyReplicas=0, availableReplicas=0)

    post_pod(builders, "theirs", labels={OWNER: "demo"})
    builders.wait_at_rest()

    assert builders.wait_reason("Progressing")["message"].endswith("Waiting for the daemon to answer.")


def test_a_pod_of_the_probes_name_is_in_nobodys_way(sidecars: Builders) -> None:
    post_pod(sidecars, "demo-buildkit-probe")

    sidecars.create(mode="Sidecar")

    sidecars.wait_reason("Available")


def test_an_object_of_another_groups_kind_of_that_name_is_named_at_once(builders: Builders) -> None:
    owner = {"kind": "BuildKitBuilder", "name": "demo", "uid": "1-2-3", "controller": True}
    owner |= {"apiVersion": "example.com/v1"}
    builders.post("configmaps", {"metadata": {"name": "demo-buildkitd", "ownerReferences": [owner]}})

    builders.create()

    assert "belongs to BuildKitBuilder demo, so it was left alone" in builders.wait_reason("NameConflict")["message"]


def test_one_job_that_ran_out_of_memory_leaves_a_quiet_builder_ready(sidecars: Builders) -> None:
    sidecars.create(mode="Sidecar")
    sidecars.wait_reason("Available")
    killed = {"exitCode": 137, "reason": "OOMKilled"}

    tell(sidecars, runner(sidecars), phase="Failed", state={"terminated": killed}, lastState={"terminated": killed})

    sidecars.wait("it is told", lambda: "ran out of memory" in sidecars.condition()["message"])
    assert sidecars.condition()["status"] == "True"


def test_what_ails_pods_of_an_earlier_spec_is_over_with_it(sidecars: Builders) -> None:
    sidecars.create(mode="Sidecar", image="example.com/misspelt:1")
    sidecars.wait_reason("Available")
    runner(sidecars, **NO_IMAGE)
    sidecars.wait_reason("ImagePullFailed")

    sidecars.edit(image="example.com/right:1")

    sidecars.wait_reason("Available")


# Half-way


def test_a_refused_change_to_shared_leaves_the_sidecar_whole(sidecars: Builders) -> None:
    sidecars.create(mode="Sidecar")
    sidecars.wait_reason("Available")
    before, toml = sidecars.status(), (sidecars.get("configmaps", SIDECAR) or {})["data"]
    sidecars.set_quota(services="0")

    sidecars.edit(mode="Shared", shared={"tls": {"mode": "Disabled"}})

    assert "exceeded quota: small" in sidecars.wait_reason("Rejected")["message"]
    sidecars.wait_at_rest()
    assert sidecars.status()["injection"] == before["injection"]
    assert sidecars.status()["endpoint"] == before["endpoint"]
    assert (sidecars.get("configmaps", SIDECAR) or {})["data"] == toml
    assert "tcp://" not in toml["buildkitd.toml"]
    assert config_of(sidecars, runner(sidecars)) == SIDECAR

    sidecars.delete("resourcequotas", "small")
    sidecars.make_ready()
    # The pod of before may have to start yet.
    assert sidecars.get("configmaps", SIDECAR) is not None


def config_of(builders: Builders, pod: str) -> str:
    """Return the ConfigMap that a runner pod's sidecar reads."""
    volumes = (builders.get("pods", pod) or {})["spec"]["volumes"]
    (config,) = [volume["configMap"]["name"] for volume in volumes if volume["name"] == "buildkit-config"]
    return str(config)


def test_a_refused_change_to_sidecar_leaves_the_shared_daemons_whole(builders: Builders) -> None:
    builders.create()
    builders.make_ready()
    before, status = builders.versions(), builders.status()
    builders.set_quota(**{"count/configmaps": "0"})

    builders.edit(mode="Sidecar")

    assert "exceeded quota: small" in builders.wait_reason("Rejected")["message"]
    builders.wait_at_rest()
    assert {name: builders.versions()[name] for name in before if not name.startswith("deployments/")} == {
        name: version for name, version in before.items() if not name.startswith("deployments/")
    }
    kept = ("injection", "endpoint", "connectionSecretName", "replicas", "selector", "image")
    assert {field: builders.status()[field] for field in kept} == {field: status[field] for field in kept}


def test_a_config_map_goes_once_no_pod_mounts_it(sidecars: Builders) -> None:
    sidecars.create(mode="Sidecar")
    sidecars.wait_reason("Available")
    name = runner(sidecars)

    sidecars.edit(mode="Shared")
    sidecars.make_ready()
    sidecars.wait_at_rest()
    assert sidecars.get("configmaps", SIDECAR) is not None

    sidecars.delete("pods", name + "?gracePeriodSeconds=0")
    sidecars.wait("it is gone", lambda: sidecars.get("configmaps", SIDECAR) is None)


def test_a_change_that_is_refused_in_one_object_is_made_in_none(builders: Builders) -> None:
    builders.create()
    builders.make_ready()
    builders.patch("secrets", "demo-connection", {"immutable": True})
    builders.wait_at_rest()
    before, endpoint = builders.versions(), builders.status()["endpoint"]

    builders.edit(image="example.com/other:1", shared={"port": 4321})

    assert "The API server refuses Secret demo-connection" in builders.wait_reason("Rejected")["message"]
    builders.wait_at_rest()
    assert builders.versions() == before
    assert builders.status()["endpoint"] == endpoint

    builders.delete("poddisruptionbudgets", "demo-buildkitd")
    builders.wait("what is missing is back", lambda: builders.get("poddisruptionbudgets", "demo-buildkitd"))


# Secrets first

PROBLEMS: Final[dict[str, Manifest]] = {
    "SecretNotFound": {"daemon": registry_with_ca("missing")},
    "ClaimNotFound": {"injection": {"localCache": {"claimName": "missing"}}},
    "InvalidToml": {"daemon": {"toml": "no toml"}},
}


@pytest.mark.parametrize("reason", PROBLEMS)
def test_a_deleted_secret_is_back_whatever_else_is_wrong(builders: Builders, reason: str) -> None:
    builders.create()
    builders.make_ready()
    builders.edit(**PROBLEMS[reason])
    builders.wait_reason(reason)

    for name in ("demo-connection", "demo-buildkitd-tls"):
        builders.delete("secrets", name)

    builders.wait("the connection", lambda: "tls.key" in builders.secret("demo-connection"))
    builders.wait("the server's", lambda: "tls.key" in builders.secret("demo-buildkitd-tls"))
    assert builders.condition()["reason"] == reason


def test_a_consumers_secret_is_back_while_its_claim_is_missing(builders: Builders) -> None:
    name = f"team-{uuid.uuid4().hex[:8]}"
    builders.control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    consumer = Builders(builders.control_plane, name)
    builders.create(shared={"allowedNamespaces": {"names": [name]}})
    builders.make_ready()
    consumer.create(shared={"from": {"namespace": builders.namespace, "name": "demo"}})
    consumer.wait_reason("Available")
    consumer.edit(injection={"localCache": {"claimName": "missing"}})
    consumer.wait_reason("ClaimNotFound")

    consumer.delete("secrets", "demo-connection")

    consumer.wait("the connection", lambda: "tls.key" in consumer.secret("demo-connection"))


def test_a_port_that_cannot_be_had_yet_is_told_to_nobody(builders: Builders) -> None:
    builders.create()
    builders.make_ready()
    before = builders.secret("demo-connection")

    builders.edit(shared={"port": 4321}, daemon=registry_with_ca("missing"))
    builders.wait_reason("SecretNotFound")
    time.sleep(11)  # until it was tried again

    assert builders.secret("demo-connection") == before
    assert builders.status()["endpoint"] == before["BUILDKIT_HOST"]


# What every pod would be refused for


@pytest.mark.parametrize("mode", ["Sidecar", "Shared"])
def test_a_quota_that_wants_limits_of_what_is_added_is_told(sidecars: Builders, mode: str) -> None:
    sidecars.set_quota(**{"limits.cpu": "4"})

    sidecars.create(mode=mode)
    if mode == "Shared":
        sidecars.wait_for_deployment()
        sidecars.play_controller()

    ready = sidecars.wait_reason("PodsRefused")
    assert ready["status"] == "False"
    assert "must specify limits.cpu for: buildkit" in ready["message"]

    sidecars.delete("resourcequotas", "small")
    sidecars.wait_reason("Available")


def test_a_connector_below_what_a_limit_range_admits_is_told(sidecars: Builders) -> None:
    least = {"type": "Container", "min": {"memory": "64Mi"}}
    sidecars.post("limitranges", {"metadata": {"name": "large"}, "spec": {"limits": [least]}})

    sidecars.create()
    sidecars.wait_for_deployment()
    sidecars.play_controller()

    assert "but request is 32Mi" in sidecars.wait_reason("PodsRefused")["message"]
