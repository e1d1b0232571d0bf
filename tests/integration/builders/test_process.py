"""The operator stops, is killed and starts again: nothing is lost, nothing made twice, nothing written in vain."""

import json
import time
from base64 import b64decode
from collections.abc import Callable, Iterator

import pytest

from hack.cluster.controlplane import ControlPlane
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.conftest import StartOperator
from tests.integration.conftest import CRDS

StartControlPlane = Callable[..., ControlPlane]

OBJECTS_OF_ONE = 11
"""Deployment, Service, ConfigMap, ServiceAccount, PodDisruptionBudget and three Secrets."""


def test_a_restart_writes_nothing(start_control_plane: StartControlPlane, start_operator: StartOperator) -> None:
    builders = Builders(start_control_plane(), "default")
    operator = start_operator(builders.control_plane)
    names = [f"demo-{number}" for number in range(10)]
    for name in names:
        builders.create(name, resources={"limits": {"memory": "1.5Gi"}}, shared={})
    for name in names:
        builders.make_ready(name)
    operator.terminate()
    assert operator.wait() == 0
    mark = builders.control_plane.mark()

    start_operator(builders.control_plane)
    time.sleep(20)

    assert builders.writes(mark) == []
    requests = [request for request in builders.control_plane.audit(mark) if request.user_agent.startswith("buildkit")]
    assert [request for request in requests if request.resource == "events"] == []


def test_a_deleted_secret_comes_back_with_the_next_resync(
    start_control_plane: StartControlPlane, start_operator: StartOperator
) -> None:
    builders = Builders(start_control_plane(), "default")
    start_operator(builders.control_plane, resync_seconds=2)
    builders.create()
    builders.make_ready()
    before = builders.secret("demo-connection")

    builders.delete("secrets", "demo-connection")

    builders.wait("the Secret is back", lambda: builders.get("secrets", "demo-connection"))
    after = builders.secret("demo-connection")
    assert after["ca.crt"] == before["ca.crt"]
    assert after["tls.crt"] != before["tls.crt"]


def test_what_changed_while_the_operator_was_away_is_caught_up_with(
    start_control_plane: StartControlPlane, start_operator: StartOperator
) -> None:
    builders = Builders(start_control_plane(), "default")
    operator = start_operator(builders.control_plane)
    builders.create()
    builders.make_ready()
    authority = builders.secret("demo-buildkitd-ca")
    operator.kill()

    builders.delete("services", "demo-buildkitd")
    builders.delete("secrets", "demo-connection")
    builders.patch("configmaps", "demo-buildkitd", {"data": {"buildkitd.toml": "debug = true"}})
    builders.edit(shared={"replicas": 2})
    builders.create("another")
    start_operator(builders.control_plane)

    builders.make_ready()
    builders.make_ready("another")
    assert len(builders.children()) == 2 * OBJECTS_OF_ONE
    assert builders.deployment()["spec"]["replicas"] == 2
    config = builders.get("configmaps", "demo-buildkitd")
    assert config is not None
    assert "[worker.oci]" in config["data"]["buildkitd.toml"]
    assert builders.secret("demo-buildkitd-ca") == authority
    assert builders.secret("demo-connection")["ca.crt"] == authority["tls.crt"]


@pytest.fixture(scope="module")
def with_garbage_collection() -> Iterator[ControlPlane]:
    """Start an API server with that controller, which needs half a minute until it has heard of builders."""
    with ControlPlane(controllers=("garbage-collector-controller",)) as control_plane:
        control_plane.apply_crds(CRDS)
        yield control_plane


def test_a_builder_that_is_deleted_while_the_operator_is_away_leaves_nothing(
    with_garbage_collection: ControlPlane, start_operator: StartOperator
) -> None:
    builders = Builders(with_garbage_collection, "default")
    operator = start_operator(with_garbage_collection)
    builders.create()
    builders.wait("all objects", lambda: len(builders.children()) == OBJECTS_OF_ONE)
    operator.kill()

    builders.delete("buildkitbuilders", "demo")

    builders.wait("nothing is left", lambda: builders.children() == {}, seconds=90)


def test_a_builder_that_is_deleted_and_made_again_gets_objects_of_its_own(
    with_garbage_collection: ControlPlane, start_operator: StartOperator
) -> None:
    builders = Builders(with_garbage_collection, "default")
    start_operator(with_garbage_collection)
    builders.create()
    builders.make_ready()
    authority = builders.secret("demo-buildkitd-ca")

    builders.delete("buildkitbuilders", "demo")
    uid = builders.create()["metadata"]["uid"]

    def all_are_its_own() -> bool:
        children = builders.children().values()
        return len(children) == OBJECTS_OF_ONE and all(
            child["metadata"]["ownerReferences"][0]["uid"] == uid for child in children
        )

    builders.wait("objects of the new builder", all_are_its_own, seconds=60)
    builders.make_ready()
    assert builders.secret("demo-buildkitd-ca") != authority


def test_a_successor_completes_what_a_killed_operator_began(
    start_control_plane: StartControlPlane, start_operator: StartOperator
) -> None:
    control_plane = start_control_plane()
    builders = Builders(control_plane, "default")
    names = [f"demo-{number:02}" for number in range(50)]
    for name in names:
        builders.create(name)

    operator = start_operator(control_plane)
    builders.wait("the midst of it", lambda: 20 < len(builders.children()) < 350)
    operator.kill()
    begun = builders.children()
    assert len(begun) < 50 * OBJECTS_OF_ONE

    start_operator(control_plane)
    builders.wait("all objects", lambda: len(builders.children()) == 50 * OBJECTS_OF_ONE, seconds=60)
    for name in names:
        builders.wait_reason("Progressing", name)

    children = builders.children()
    assert {name: children[name]["metadata"]["uid"] for name in begun} == {
        name: child["metadata"]["uid"] for name, child in begun.items()
    }
    for name in names:
        of_one = [
            child for child in children.values() if child["metadata"]["labels"]["app.kubernetes.io/instance"] == name
        ]
        assert len(of_one) == OBJECTS_OF_ONE
        # Whichever of its Secrets were written before: they belong together.
        authority = b64decode(children[f"secrets/{name}-buildkitd-ca"]["data"]["tls.crt"])
        for secret in ("buildkitd-tls", "connection"):
            assert b64decode(children[f"secrets/{name}-{secret}"]["data"]["ca.crt"]) == authority


def test_the_log_is_one_object_a_line(start_control_plane: StartControlPlane, start_operator: StartOperator) -> None:
    operator = start_operator(start_control_plane())
    operator.terminate()
    operator.wait()

    lines = [json.loads(line) for line in operator.log.read_text().splitlines()]
    assert {"time", "level", "logger", "message"} <= lines[0].keys()
    assert lines[-1]["message"] == "Stopped."
