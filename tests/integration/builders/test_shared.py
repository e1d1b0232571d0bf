"""A shared builder on a real API server: its objects, its state, and what becomes of changes to both."""

import time
from typing import Any

import pytest

from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import Manifest
from tests.integration.builders.builder_namespace import Builders

OBJECTS = {
    "configmaps/demo-buildkitd",
    "configmaps/demo-buildkitd-front",
    "configmaps/demo-connector",
    "deployments/demo-buildkitd",
    "poddisruptionbudgets/demo-buildkitd",
    "secrets/demo-buildkitd-ca",
    "secrets/demo-buildkitd-tls",
    "secrets/demo-connection",
    "serviceaccounts/demo-buildkitd",
    "services/demo-buildkitd",
    "services/demo-buildkitd-headless",
}


# From nothing to ready


def test_a_builder_gets_its_objects_and_each_belongs_to_it(builders: Builders) -> None:
    uid = builders.create()["metadata"]["uid"]

    builders.wait_for_deployment()
    children = builders.children()

    assert set(children) == OBJECTS
    for child in children.values():
        (owner,) = child["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"]) == (uid, True)


def test_a_builder_is_on_its_way_until_its_daemon_is_ready(builders: Builders) -> None:
    builders.create()

    ready = builders.wait_reason("Progressing")

    assert ready["status"] == "False"
    assert builders.condition("Reconciling")["status"] == "True"
    assert builders.condition("Stalled") == {}


def test_a_builder_is_ready_when_its_daemon_is(builders: Builders) -> None:
    builders.create()
    builders.make_ready()

    status = builders.status()
    assert [found["type"] for found in status["conditions"]] == ["Ready"]
    assert status["endpoint"] == f"tcp://demo-buildkitd.{builders.namespace}.svc:1234"
    assert status["connectionSecretName"] == "demo-connection"
    assert (status["replicas"], status["readyReplicas"]) == (1, 1)
    assert status["observedGeneration"] == 1
    assert status["certificateNotAfterTime"] > status["conditions"][0]["lastTransitionTime"]


def test_kubectl_can_wait_for_a_builder(builders: Builders) -> None:
    builders.create()
    builders.make_ready()

    builders.kubectl("wait", "bkb", "demo", "--for=condition=Ready", "--timeout=1s")


def test_the_connection_secret_holds_all_a_job_needs(builders: Builders) -> None:
    builders.create()
    builders.wait_for_deployment()

    connection = builders.secret("demo-connection")
    assert connection["BUILDKIT_HOST"] == f"tcp://demo-buildkitd.{builders.namespace}.svc:1234"
    assert connection["ca.crt"] == builders.secret("demo-buildkitd-tls")["ca.crt"]
    assert connection["ca.crt"] != connection["tls.crt"]
    assert "PRIVATE KEY" in connection["tls.key"]


def test_what_a_builder_becomes_is_told_once_each(builders: Builders) -> None:
    builders.create()
    builders.make_ready()
    builders.edit(daemon={"toml": "zzz = 1"})
    builders.wait_reason("InvalidToml")

    builders.wait("three events", lambda: len(builders.events()) >= 3)
    assert builders.events() == [("Normal", "Progressing"), ("Normal", "Available"), ("Warning", "InvalidToml")]


# Changes that others make


@pytest.mark.parametrize("child", sorted(child for child in OBJECTS if not child.startswith("secrets/")))
def test_a_deleted_child_comes_back(builders: Builders, child: str) -> None:
    builders.create()
    builders.make_ready()

    builders.delete(*child.split("/"))

    builders.wait(f"{child} is back", lambda: builders.get(*child.split("/")))


EDITS: dict[str, Manifest] = {
    "configmaps": {"data": {"buildkitd.toml": "debug = true"}},
    "deployments": {"spec": {"replicas": 5}},
    "poddisruptionbudgets": {"spec": {"maxUnavailable": 2}},
    "serviceaccounts": {"automountServiceAccountToken": True},
    "services": {"spec": {"selector": {"buildkit-operator.dev/owner": "other"}}},
}


@pytest.mark.parametrize("plural", EDITS)
def test_an_edited_child_is_repaired(builders: Builders, plural: str) -> None:
    builders.create()
    builders.make_ready()
    before = without_bookkeeping(builders.get(plural, "demo-buildkitd"))

    builders.patch(plural, "demo-buildkitd", EDITS[plural])

    builders.wait(
        f"the repair of {plural}",
        lambda: without_bookkeeping(builders.get(plural, "demo-buildkitd")) == before,
    )


def without_bookkeeping(manifest: Manifest | None) -> Manifest:
    """Return what an object says, without how often and by whom it was said."""
    content = {key: value for key, value in (manifest or {"metadata": {}}).items() if key != "status"}
    metadata = {key: content["metadata"].get(key) for key in ("name", "labels", "annotations", "ownerReferences")}
    return content | {"metadata": metadata}


def test_a_removed_owner_label_is_put_back(builders: Builders) -> None:
    builders.create()
    builders.make_ready()

    builders.patch("services", "demo-buildkitd", {"metadata": {"labels": {"buildkit-operator.dev/owner": None}}})

    builders.wait(
        "the label", lambda: "buildkit-operator.dev/owner" in labels(builders.get("services", "demo-buildkitd"))
    )


def labels(manifest: Manifest | None) -> dict[str, str]:
    found: dict[str, str] = (manifest or {"metadata": {}})["metadata"].get("labels") or {}
    return found


def test_what_users_add_to_a_child_stays(builders: Builders) -> None:
    builders.create()
    builders.make_ready()
    builders.patch(
        "services", "demo-buildkitd", {"metadata": {"labels": {"team": "builds"}, "annotations": {"a": "b"}}}
    )
    builders.patch("deployments", "demo-buildkitd", {"spec": {"replicas": 4}})

    builders.wait("the repair", lambda: builders.deployment()["spec"]["replicas"] == 1)
    builders.edit(shared={"port": 4321})
    builders.wait("the port", lambda: port_of(builders) == 4321)

    service = builders.get("services", "demo-buildkitd")
    assert service is not None
    assert labels(service)["team"] == "builds"
    assert service["metadata"]["annotations"]["a"] == "b"


def test_a_restart_by_kubectl_is_one_roll_that_stays(builders: Builders) -> None:
    builders.create()
    builders.make_ready()

    builders.kubectl("rollout", "restart", "deployment/demo-buildkitd")
    restarted = restarted_at(builders)
    assert restarted
    generation = builders.deployment()["metadata"]["generation"]
    builders.make_ready()
    builders.wait_at_rest()
    assert builders.deployment()["metadata"]["generation"] == generation

    builders.edit(image="example.com/other:1")
    builders.wait("a second roll", lambda: builders.deployment()["metadata"]["generation"] != generation)

    assert restarted_at(builders) == restarted


def restarted_at(builders: Builders) -> str:
    template = builders.deployment()["spec"]["template"]
    at: str = template["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"]
    return at


def port_of(builders: Builders) -> int:
    service = builders.get("services", "demo-buildkitd")
    assert service is not None
    port: int = service["spec"]["ports"][0]["port"]
    return port


# Changes of the spec


def test_a_change_reaches_the_objects(builders: Builders) -> None:
    builders.create(resources={"limits": {"memory": "1.5Gi"}})
    builders.make_ready()
    before = builders.deployment()["spec"]["template"]

    builders.edit(image="example.com/other:1", daemon={"logLevel": "debug"})

    builders.wait("the image", lambda: image_of(builders) == "example.com/other:1")
    after = builders.deployment()["spec"]["template"]
    assert before["metadata"]["annotations"] != after["metadata"]["annotations"]
    builders.make_ready()
    assert builders.status()["image"] == "example.com/other:1"


def image_of(builders: Builders) -> str:
    image: str = builders.deployment()["spec"]["template"]["spec"]["containers"][0]["image"]
    return image


def test_what_is_taken_back_is_removed(builders: Builders) -> None:
    builders.create(shared={"pod": {"priorityClassName": "high"}, "service": {"annotations": {"a": "b"}}})
    builders.make_ready()

    builders.edit(shared=None)

    builders.wait(
        "the class is gone", lambda: "priorityClassName" not in builders.deployment()["spec"]["template"]["spec"]
    )
    service = builders.get("services", "demo-buildkitd")
    assert service is not None
    assert "a" not in service["metadata"]["annotations"]


def test_a_roll_is_told_while_the_old_daemon_serves(builders: Builders) -> None:
    builders.create()
    builders.make_ready()

    builders.edit(image="example.com/other:1")
    builders.wait("the image", lambda: image_of(builders) == "example.com/other:1")
    builders.play_controller(replicas=2, updatedReplicas=1, readyReplicas=1)

    builders.wait("Reconciling", lambda: builders.condition("Reconciling"))
    assert builders.wait_reason("Available")["status"] == "True"


def test_kubectl_scales(builders: Builders) -> None:
    builders.create(shared={})
    builders.make_ready()

    builders.kubectl("scale", "bkb", "demo", "--replicas=3")

    builders.wait("three replicas", lambda: builders.deployment()["spec"]["replicas"] == 3)
    builders.make_ready()
    scale = builders.get("buildkitbuilders", "demo/scale")
    assert scale is not None
    assert scale["status"] == {
        "replicas": 3,
        "selector": "buildkit-operator.dev/owner=demo,app.kubernetes.io/name=buildkitd",
    }


def test_scaled_to_zero_is_calm(builders: Builders) -> None:
    builders.create(shared={"replicas": 0})
    builders.wait_for_deployment()
    builders.play_controller()

    ready = builders.wait_reason("ScaledToZero")

    assert ready["status"] == "True"
    assert [found["type"] for found in builders.status()["conditions"]] == ["Ready"]


def test_without_tls_there_are_no_certificates_and_with_it_there_are_again(builders: Builders) -> None:
    builders.create()
    builders.make_ready()

    builders.edit(shared={"tls": {"mode": "Disabled"}})
    builders.wait("no certificates", lambda: "secrets/demo-buildkitd-ca" not in builders.children())
    builders.make_ready()
    assert set(builders.children()) == OBJECTS - {"secrets/demo-buildkitd-ca", "secrets/demo-buildkitd-tls"}
    assert builders.secret("demo-connection").keys() == {"BUILDKIT_HOST"}
    assert "TLS is disabled" in builders.condition()["message"]
    assert "certificateNotAfterTime" not in builders.status()

    builders.edit(shared={"tls": {"mode": "SelfSigned"}})
    builders.wait("certificates", lambda: set(builders.children()) == OBJECTS)
    builders.make_ready()
    assert "tls.key" in builders.secret("demo-connection")


def test_another_name_in_the_certificate_rolls_no_daemon_and_keeps_the_authority(builders: Builders) -> None:
    builders.create()
    builders.make_ready()
    before = builders.secret("demo-connection")
    server = builders.secret("demo-buildkitd-tls")
    template = builders.deployment()["spec"]["template"]

    builders.edit(shared={"tls": {"dnsNames": ["builds.example.com"]}})

    builders.wait("a certificate with that name", lambda: builders.secret("demo-buildkitd-tls") != server)
    builders.wait_at_rest()
    assert builders.deployment()["spec"]["template"] == template
    assert builders.secret("demo-connection") == before


def test_a_suspended_builder_is_left_as_it_is(builders: Builders) -> None:
    builders.create()
    builders.make_ready()
    builders.edit(suspend=True)
    ready = builders.wait_reason("Suspended")
    assert ready["status"] == "True"

    builders.edit(image="example.com/other:1")
    builders.delete("services", "demo-buildkitd")
    builders.patch("configmaps", "demo-buildkitd", {"data": {"buildkitd.toml": "mine"}})
    mark = builders.control_plane.mark()
    builders.wait("the generation", lambda: builders.status()["observedGeneration"] == 3)

    assert {request.resource for request in builders.writes(mark)} <= {"buildkitbuilders"}
    assert builders.get("services", "demo-buildkitd") is None
    assert image_of(builders) != "example.com/other:1"

    builders.edit(suspend=False)
    builders.wait("the Service", lambda: builders.get("services", "demo-buildkitd"))
    builders.wait("the image", lambda: image_of(builders) == "example.com/other:1")
    config = builders.get("configmaps", "demo-buildkitd")
    assert config is not None
    assert config["data"]["buildkitd.toml"] != "mine"


def test_a_builder_that_is_born_suspended_gets_nothing(builders: Builders) -> None:
    builders.create(suspend=True)

    ready = builders.wait_reason("Suspended")
    assert ready["status"] == "False"
    assert builders.condition("Stalled")["message"] == ready["message"]
    assert builders.children() == {}


# Rest


def test_at_rest_nothing_is_written(builders: Builders) -> None:
    for number in range(3):
        name = f"demo-{number}"
        builders.create(
            name,
            # Spellings that the server changes.
            resources={"limits": {"cpu": 2, "memory": "1.5Gi"}, "requests": {"cpu": "0.5", "memory": "1e9"}},
            env=[{"name": "EMPTY"}],
            cache={"size": "10240Mi"},
        )
        builders.make_ready(name)
    builders.wait("all events", lambda: len(builders.events("demo-2")) == 2)
    mark = builders.control_plane.mark()

    # What others change of metadata calls for a look, and for no write.
    builders.patch("deployments", "demo-0-buildkitd", {"metadata": {"labels": {"note": "1"}}})
    builders.patch("buildkitbuilders", "demo-1", {"metadata": {"labels": {"team": "builds"}}})
    time.sleep(20)

    assert builders.writes(mark) == []


def test_nothing_of_the_builders_own_metadata_reaches_its_children(builders: Builders) -> None:
    builders.create()
    builders.make_ready()
    builders.patch(
        "buildkitbuilders", "demo", {"metadata": {"labels": {"argo": "app"}, "annotations": {"argo": "app"}}}
    )
    builders.edit(shared={"port": 4321})
    builders.wait("the port", lambda: port_of(builders) == 4321)

    for child in builders.children().values():
        assert "argo" not in {**labels(child), **child["metadata"].get("annotations", {})}


def test_the_status_is_the_operators_and_the_spec_is_the_users(builders: Builders) -> None:
    builders.create()
    builders.make_ready()
    found: Any = builders.get("buildkitbuilders", "demo")

    owned = [entry for entry in found["metadata"]["managedFields"] if entry["manager"] == "buildkit-operator"]
    assert [(entry["operation"], entry["subresource"]) for entry in owned] == [("Apply", "status")]
    assert condition(found, "Ready")["status"] == "True"
