"""Daemons by demand: runner pods bring them, and what has been idle goes. No pod ever runs here."""

import http.server
import itertools
import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from buildkit_operator.api.shared import METRICS_PORT
from buildkit_operator.kube.resources import Manifest
from tests.integration.builders.builder_namespace import Builders, owned_by_workload
from tests.integration.builders.test_consumers import another_namespace, borrow, names

COST: Final = "controller.kubernetes.io/pod-deletion-cost"
ADDRESSES: Final = itertools.count(1)
"""Last parts of addresses of this machine that nobody else takes, as fronts listen at one port."""


@pytest.fixture
def scaled(builders: Builders, policies: None) -> Builders:  # noqa: ARG001  they are in force
    """Return a namespace whose API server injects."""
    return builders


def create(builders: Builders, name: str = "demo", shared: Manifest | None = None, **autoscaling: Any) -> None:
    wanted = {"minReplicas": 0, "maxReplicas": 3, "idleSeconds": 1, **autoscaling}
    builders.create(name, shared={"autoscaling": wanted, **(shared or {})})
    builders.wait_until_injected(name)


def runner(builders: Builders, builder: str = "demo") -> str:
    """Create a runner pod, and return its name."""
    name = f"runner-{uuid.uuid4().hex[:8]}"
    labels = {"buildkit-operator.dev/builder": builder}
    spec = {"containers": [{"name": "job", "image": "example.com/job"}]}
    pod = builders.post("pods", {"metadata": {"name": name, "labels": labels}, "spec": spec})
    assert pod["spec"]["initContainers"][0]["name"] == "buildkit-connector"
    return name


def end(builders: Builders, *pods: str) -> None:
    for pod in pods:
        builders.patch("pods", pod, {"status": {"phase": "Succeeded"}}, "status")


def wait_for_daemons(builders: Builders, count: int, name: str = "demo") -> None:
    builders.wait(f"{count} daemons", lambda: builders.deployment(name)["spec"]["replicas"] == count)
    told = lambda: builders.status(name).get("autoscaling", {}).get("desiredReplicas") == count  # noqa: E731
    builders.wait("the status", told)


def cost(builders: Builders, pod: str) -> str | None:
    """Return what it costs to take a pod away."""
    found = builders.get("pods", pod)
    assert found is not None
    noted: str | None = found["metadata"].get("annotations", {}).get(COST)
    return noted


def notes(builders: Builders, reason: str) -> list[str]:
    """Return what the builder's events of a reason say."""
    path = f"/apis/events.k8s.io/v1/namespaces/{builders.namespace}/events"
    events = builders.control_plane.request("GET", path)["items"]
    return [event["note"] for event in events if event["reason"] == reason]


@contextmanager
def front(builders: Builders, pod: str, builds: int, queued: int = 0) -> Iterator[None]:
    """Run what a daemon's front tells at an address, and a pod by which the API server says that it is there."""
    worker = uuid.uuid4().int
    address = f"127.{worker % 200 + 1}.{worker // 200 % 250 + 1}.{next(ADDRESSES)}"
    text = f"# HELP …\nbuildkit_front_builds {builds}\nbuildkit_front_builds_total 99\nbuildkit_front_queued {queued}\n"

    class Front(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/front" else 404)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_arguments: object) -> None: ...

    server = http.server.ThreadingHTTPServer((address, METRICS_PORT), Front)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    labels = {"app.kubernetes.io/name": "buildkitd", "buildkit-operator.dev/owner": "demo"}
    metadata = {"name": pod, "labels": labels, "ownerReferences": owned_by_workload()}
    spec = {
        "initContainers": [{"name": "buildkit-front", "image": "example.com/haproxy", "restartPolicy": "Always"}],
        "containers": [{"name": "buildkitd", "image": "example.com/buildkit"}],
    }
    builders.post("pods", {"metadata": metadata, "spec": spec})
    running = {"name": "buildkit-front", "image": "", "imageID": "", "ready": True, "restartCount": 0, "started": True}
    status = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [{"type": "Ready", "status": "True"}],
        "initContainerStatuses": [running],
    }
    builders.patch("pods", pod, {"status": status}, "status")
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def test_the_first_runner_pods_bring_daemons_and_the_last_ones_end_takes_them_away(scaled: Builders) -> None:
    create(scaled, runnersPerReplica=2)
    wait_for_daemons(scaled, 0)
    scaled.play_controller()
    ready = scaled.wait_reason("ScaledToZero")
    assert ready["message"].startswith("Scaled to zero: no daemon runs until a runner pod comes; until then builds")

    pods = [runner(scaled) for _ in range(3)]
    wait_for_daemons(scaled, 2)
    scaled.make_ready()
    assert scaled.status()["autoscaling"]["message"].startswith("From ")
    assert scaled.wait("the event", lambda: notes(scaled, "Scaled"))[0].startswith("From 0 to ")

    end(scaled, *pods)
    wait_for_daemons(scaled, 0)
    assert " to 0 daemons: no more were needed for " in scaled.status()["autoscaling"]["message"]
    assert "idleSinceTime" not in scaled.status()["autoscaling"]


def test_daemons_stay_for_as_long_as_they_may_be_idle(scaled: Builders) -> None:
    create(scaled, runnersPerReplica=1, idleSeconds=3600)
    pods = [runner(scaled), runner(scaled)]
    wait_for_daemons(scaled, 2)

    end(scaled, *pods)

    idle = scaled.wait("it is told", lambda: scaled.status()["autoscaling"].get("idleSinceTime"))
    assert scaled.status()["autoscaling"] | {"idleSinceTime": idle} == scaled.status()["autoscaling"]
    scaled.wait_at_rest()
    assert scaled.deployment()["spec"]["replicas"] == 2


def test_runner_pods_of_admitted_namespaces_count_and_no_others(scaled: Builders) -> None:
    admitted, stranger = another_namespace(scaled.control_plane), another_namespace(scaled.control_plane)
    create(scaled, shared={"allowedNamespaces": names(admitted, stranger)}, runnersPerReplica=1)
    for consumer in (admitted, stranger):
        borrow(consumer, scaled)
        consumer.wait_until_injected("team")
    scaled.edit(shared={"allowedNamespaces": names(admitted)})
    stranger.wait_reason("NotAdmitted", "team")

    runner(stranger, "team")
    runner(admitted, "team")
    wait_for_daemons(scaled, 1)

    scaled.wait_at_rest()
    assert scaled.deployment()["spec"]["replicas"] == 1


def test_scale_is_refused_with_a_sentence(scaled: Builders) -> None:
    create(scaled)

    with pytest.raises(subprocess.CalledProcessError) as refused:
        scaled.kubectl("scale", "bkb/demo", "--replicas=2")

    assert "autoscaling sets the number of daemons: set its minReplicas and maxReplicas" in refused.value.stderr


def test_a_suspended_builder_keeps_its_number(scaled: Builders) -> None:
    create(scaled, runnersPerReplica=1)
    wait_for_daemons(scaled, 0)
    scaled.edit(suspend=True)
    scaled.wait_reason("Suspended")

    pod = runner(scaled)
    scaled.wait("it is seen", lambda: scaled.status()["pods"]["injected"] == 1)
    assert scaled.deployment()["spec"]["replicas"] == 0
    assert scaled.status()["autoscaling"]["desiredReplicas"] == 0

    scaled.edit(suspend=None)
    wait_for_daemons(scaled, 1)
    end(scaled, pod)


def test_a_spec_that_cannot_be_has_nothing_told_that_is_not_so(scaled: Builders) -> None:
    create(scaled, runnersPerReplica=1)
    wait_for_daemons(scaled, 0)
    scaled.edit(daemon={"toml": "no toml"})
    scaled.wait_reason("InvalidToml")

    runner(scaled)
    scaled.wait("it is seen", lambda: scaled.status()["pods"]["injected"] == 1)
    assert scaled.status()["autoscaling"]["desiredReplicas"] == 0

    scaled.edit(daemon=None)
    wait_for_daemons(scaled, 1)


def test_without_autoscaling_the_spec_has_the_number_again(scaled: Builders) -> None:
    create(scaled, minReplicas=3)
    wait_for_daemons(scaled, 3)

    scaled.edit(shared={"autoscaling": None})

    scaled.wait("one daemon", lambda: scaled.deployment()["spec"]["replicas"] == 1)
    scaled.wait("nothing is told", lambda: "autoscaling" not in scaled.status())


def test_running_connectors_know_every_daemon_that_may_come(scaled: Builders) -> None:
    scaled.create(shared={"autoscaling": {"maxReplicas": 4}}, cache={"persistentVolumeClaim": {}, "size": "1Gi"})
    config = scaled.wait("the connector's", lambda: scaled.get("configmaps", "demo-connector") or {})

    assert "server demo-buildkitd-3 " in config["data"]["haproxy.cfg"]
    assert "server demo-buildkitd-4 " not in config["data"]["haproxy.cfg"]


def test_of_a_deployment_the_emptiest_daemons_go_first(scaled: Builders) -> None:
    scaled.create(shared={"replicas": 2})
    scaled.make_ready()
    with front(scaled, "busy", builds=2, queued=1), front(scaled, "empty", builds=0):
        scaled.kubectl("scale", "bkb/demo", "--replicas=1")
        scaled.wait("one daemon", lambda: scaled.deployment()["spec"]["replicas"] == 1)

    assert (cost(scaled, "busy"), cost(scaled, "empty")) == ("3", None)


def test_one_that_does_not_tell_is_taken_to_be_busy(scaled: Builders) -> None:
    scaled.create(shared={"replicas": 2})
    scaled.make_ready()
    with front(scaled, "silent", builds=0):
        pass
    scaled.wait("it is seen", lambda: scaled.get("pods", "silent"))

    scaled.kubectl("scale", "bkb/demo", "--replicas=1")

    scaled.wait("one daemon", lambda: scaled.deployment()["spec"]["replicas"] == 1)
    assert cost(scaled, "silent") == "1000"


def test_by_builds_it_goes_by_what_daemons_tell(scaled: Builders) -> None:
    create(scaled, minReplicas=1, buildsPerReplica=2, idleSeconds=3600)
    wait_for_daemons(scaled, 1)
    scaled.play_controller()

    with front(scaled, "one", builds=3, queued=2):
        wait_for_daemons(scaled, 3)

    assert scaled.status()["autoscaling"]["message"] == (
        "From 1 to 3 daemons: 5 builds, 2 for each, and 0 runner pods."
    )
