"""A builder of mode Sidecar on a real API server: what runner pods get, whether they would, and what became of them."""

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from buildkit_operator.api.reasons import INSTALL_ENGINE
from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import Manifest
from hack.cluster.controlplane import ControlPlane
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.conftest import StartOperator, apply_policies

StartControlPlane = Callable[..., ControlPlane]


@pytest.fixture
def sidecars(builders: Builders, policies: None) -> Builders:  # noqa: ARG001  they are in force
    """Return a namespace whose API server injects."""
    return builders


def create(builders: Builders, name: str = "demo", **spec: Any) -> None:
    builders.create(name, mode="Sidecar", **spec)


def runner(builders: Builders, builder: str = "demo", **status: Any) -> str:
    """Create a runner pod and say what the kubelet would, and return the pod's name."""
    name = f"runner-{uuid.uuid4().hex[:8]}"
    pod = builders.post(
        "pods",
        {
            "metadata": {"name": name, "labels": {"buildkit-operator.dev/builder": builder}},
            "spec": {"containers": [{"name": "job", "image": "example.com/job"}]},
        },
    )
    assert pod["spec"]["initContainers"][0]["name"] == "buildkitd"
    tell(builders, name, **status)
    return name


def tell(builders: Builders, name: str, phase: str = "Pending", **daemon: Any) -> None:
    """Play the kubelet: a pod's phase, and how its daemon is doing."""
    state = {"name": "buildkitd", "image": "", "imageID": "", "ready": False, "restartCount": 0, **daemon}
    builders.patch("pods", name, {"status": {"phase": phase, "initContainerStatuses": [state]}}, "status")


RUNNING: Manifest = {"started": True, "ready": True, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
NO_IMAGE: Manifest = {"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}


# What there is


def test_a_builder_is_ready_without_any_pod(sidecars: Builders) -> None:
    create(sidecars)

    assert sidecars.wait_reason("Available")["status"] == "True"
    status = sidecars.status()
    assert [found["type"] for found in status["conditions"]] == ["Ready"]
    assert status["endpoint"] == "unix:///run/buildkit/buildkitd.sock"
    assert status["pods"] == {"injected": 0, "ready": 0, "failed": 0}
    assert set(sidecars.children()) == {"configmaps/demo-buildkitd-sidecar"}


def test_a_change_of_the_builder_is_what_the_next_pod_gets(sidecars: Builders) -> None:
    create(sidecars)
    sidecars.wait_reason("Available")

    sidecars.edit(image="example.com/other:1")
    sidecars.wait("the image", lambda: sidecars.status()["image"] == "example.com/other:1")
    sidecars.wait_reason("Available")

    pod = sidecars.get("pods", runner(sidecars)) or {}
    assert pod["spec"]["initContainers"][0]["image"] == "example.com/other:1"


def test_a_problem_leaves_what_pods_get_as_it_was(sidecars: Builders) -> None:
    create(sidecars)
    sidecars.wait_reason("Available")
    before = sidecars.status()["injection"]

    sidecars.edit(daemon={"toml": "nonsense = true"}, image="example.com/other:1")

    sidecars.wait_reason("InvalidToml")
    assert sidecars.status()["injection"] == before
    runner(sidecars)


def test_a_suspended_builder_goes_on_serving_as_it_was(sidecars: Builders) -> None:
    create(sidecars)
    sidecars.wait_reason("Available")
    before = sidecars.status()["injection"]

    sidecars.edit(suspend=True, image="example.com/other:1")

    assert sidecars.wait_reason("Suspended")["status"] == "True"
    assert sidecars.status()["injection"] == before


def test_the_mode_can_be_changed_both_ways(sidecars: Builders) -> None:
    sidecars.create()
    sidecars.make_ready()

    sidecars.edit(mode="Sidecar")
    sidecars.wait_reason("Available")
    sidecars.wait(
        "only the ConfigMap is left", lambda: set(sidecars.children()) == {"configmaps/demo-buildkitd-sidecar"}
    )
    assert "connectionSecretName" not in sidecars.status()

    sidecars.edit(mode="Shared")
    sidecars.make_ready()
    (container,) = sidecars.status()["injection"]["initContainers"]
    assert container["name"] == "buildkit-connector"
    assert sidecars.get("configmaps", "demo-connector") is not None


def test_a_missing_claim_is_named_and_its_arrival_noticed(sidecars: Builders) -> None:
    create(sidecars, injection={"localCache": {"claimName": "build-cache"}})
    ready = sidecars.wait_reason("ClaimNotFound")
    assert "PersistentVolumeClaim build-cache, which spec.injection.localCache names, is missing" in ready["message"]

    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    sidecars.post("persistentvolumeclaims", {"metadata": {"name": "build-cache"}, "spec": claim})

    sidecars.wait_reason("Available")


# Whether a pod would get it


def test_without_an_engine_a_builder_says_so_until_there_is_one(
    start_control_plane: StartControlPlane, start_operator: StartOperator
) -> None:
    builders = Builders(start_control_plane(), "default")
    start_operator(builders.control_plane)
    create(builders)

    ready = builders.wait_reason("InjectionNotServed")
    assert ready["status"] == "False"
    assert INSTALL_ENGINE in ready["message"]
    # It may be installed any moment: those who wait for the builder should not give up.
    assert builders.condition("Reconciling")["status"] == "True"

    apply_policies(builders.control_plane)
    builders.wait_reason("Available")


def test_pod_security_is_seen_before_there_is_a_pod(sidecars: Builders) -> None:
    enforce(sidecars, "baseline")
    create(sidecars)

    ready = sidecars.wait_reason("PodSecurityDenied")
    assert sidecars.condition("Stalled")["status"] == "True"
    assert "Set spec.isolation to UserNamespace" in ready["message"]

    sidecars.edit(isolation="UserNamespace")
    sidecars.wait_reason("Available")
    assert sidecars.status()["injection"]["hostUsers"] is False


def enforce(builders: Builders, level: str) -> None:
    builders.control_plane.kubectl(
        "label", "--overwrite", "namespace", builders.namespace, f"pod-security.kubernetes.io/enforce={level}"
    )


def test_what_refuses_the_probe_for_reasons_of_its_own_is_told_beside(sidecars: Builders) -> None:
    quota = {"hard": {"pods": "0"}}
    sidecars.post("resourcequotas", {"metadata": {"name": "none"}, "spec": quota})
    found = sidecars.get("resourcequotas", "none") or {}
    found["status"] = quota | {"used": {"pods": "0"}}
    sidecars.control_plane.request("PUT", sidecars.path("resourcequotas", "none") + "/status", found)

    create(sidecars)

    ready = sidecars.wait_reason("Available")
    assert ready["status"] == "True"
    assert "exceeded quota: none" in ready["message"]


def test_at_rest_and_after_a_restart_nothing_is_written_or_tried(
    start_control_plane: StartControlPlane, start_operator: StartOperator
) -> None:
    builders = Builders(start_control_plane(), "default")
    apply_policies(builders.control_plane)
    operator = start_operator(builders.control_plane)
    for number in range(3):
        create(builders, f"demo-{number}", injection={"containers": ["job"]})
    for number in range(3):
        builders.wait_reason("Available", f"demo-{number}")
    operator.terminate()
    assert operator.wait() == 0
    mark = builders.control_plane.mark()

    start_operator(builders.control_plane)
    time.sleep(15)

    assert builders.writes(mark) == []
    ours = [request for request in builders.control_plane.audit(mark) if request.user_agent.startswith("buildkit")]
    assert [request for request in ours if request.verb == "create"] == []
    assert [request for request in ours if request.resource == "secrets"] == [], "none was ever made for these"


# What became of pods


def test_pods_are_counted_by_how_their_daemons_are_doing(sidecars: Builders) -> None:
    create(sidecars)
    sidecars.wait_reason("Available")

    ended = runner(sidecars, phase="Running", **RUNNING)
    runner(sidecars, phase="Running", **RUNNING)
    runner(sidecars)
    runner(sidecars, **NO_IMAGE)
    sidecars.wait("four pods", lambda: sidecars.status()["pods"] == {"injected": 4, "ready": 2, "failed": 1})

    tell(sidecars, ended, phase="Succeeded", state={"terminated": {"exitCode": 0}})
    sidecars.wait("three pods", lambda: sidecars.status()["pods"] == {"injected": 3, "ready": 1, "failed": 1})


def test_a_daemon_that_fails_everywhere_is_the_builders_state_until_the_pods_are_gone(sidecars: Builders) -> None:
    create(sidecars)
    sidecars.wait_reason("Available")

    name = runner(sidecars, **NO_IMAGE)
    ready = sidecars.wait_reason("ImagePullFailed")
    assert ready["status"] == "False"
    assert name in ready["message"]
    # Runners are not refused over it: the next may do better.
    sidecars.delete("pods", name + "?gracePeriodSeconds=0")

    sidecars.wait_reason("Available")


def test_a_pod_that_waits_in_vain_is_told_why(sidecars: Builders) -> None:
    create(sidecars)
    sidecars.wait_reason("Available")

    last_words = {"exitCode": 0, "message": "buildkitd: no worker found"}
    name = runner(sidecars, state={"waiting": {"reason": "CrashLoopBackOff"}}, lastState={"terminated": last_words})

    sidecars.wait("the event", lambda: sidecars.events(name) == [("Warning", "CrashLoop")])
    assert "buildkitd: no worker found" in sidecars.kubectl("describe", "pod", name)


def test_a_daemon_that_fails_among_others_is_told_and_no_more(sidecars: Builders) -> None:
    create(sidecars)
    sidecars.wait_reason("Available")
    runner(sidecars, phase="Running", **RUNNING)
    runner(sidecars, **NO_IMAGE)

    sidecars.wait("it is told", lambda: "no such image" in sidecars.condition()["message"])
    assert sidecars.condition()["status"] == "True"


def test_numbers_of_pods_are_not_written_at_every_change(sidecars: Builders) -> None:
    create(sidecars)
    sidecars.wait_reason("Available")
    mark = sidecars.control_plane.mark()

    for _ in range(12):
        runner(sidecars, phase="Running", **RUNNING)
    sidecars.wait("all are counted", lambda: sidecars.status()["pods"]["ready"] == 12)

    assert len(sidecars.writes(mark)) <= 6


def test_a_builder_tells_how_it_fares_in_events(sidecars: Builders) -> None:
    create(sidecars)
    sidecars.wait_reason("Available")

    sidecars.wait("the event", lambda: ("Normal", "Available") in sidecars.events())
    assert condition(sidecars.get("buildkitbuilders", "demo") or {}, "Stalled") == {}
