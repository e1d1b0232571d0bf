"""The exporter asks the daemons of a real cluster, while they build and while kubectl and autoscalers scale them."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import Manifest
from hack.cluster.installation import OPERATOR, operator_image
from hack.cluster.kubectl import Kubectl, wait_for
from tests.support.jobs import BUILD, Job, builder, gated, open_gate, wait_ready, wait_reason

EXPORTER: Final = "buildkit-operator-exporter"
SELECTOR: Final = f"--selector=app.kubernetes.io/name={EXPORTER}"
SAMPLES: Final = Path(__file__).parents[2] / "deploy" / "samples" / "scaling"

Series = dict[tuple[str, ...], float]
"""Values by metric and, where there is one, pod."""


@pytest.fixture(scope="module")
def exporter(cluster: Kubectl) -> Iterator[Kubectl]:
    """Run the exporter, in more of a hurry than usual, and return kubectl for its namespace."""
    cluster("apply", "--server-side", "--force-conflicts", "--kustomize=deploy/kustomize/components/exporter")
    kubectl = cluster.within(OPERATOR)
    kubectl("set", "image", f"deployment/{EXPORTER}", f"exporter={operator_image()}")
    intervals = ("INTERVAL_SECONDS=1", "DISK_USAGE_INTERVAL_SECONDS=1")
    kubectl("set", "env", f"deployment/{EXPORTER}", *(f"BUILDKIT_OPERATOR_{setting}" for setting in intervals))
    kubectl("rollout", "restart", f"deployment/{EXPORTER}")
    kubectl("rollout", "status", f"deployment/{EXPORTER}", "--timeout=120s", timeout=130)
    yield kubectl
    cluster("delete", "--ignore-not-found", "--kustomize=deploy/kustomize/components/exporter")


@pytest.fixture
def series(team: Kubectl, exporter: Kubectl) -> Callable[[], Series]:
    """Return a function that reads what is exported of the test's namespace."""

    def read() -> Series:
        found: Series = {}
        lines = re.findall(r"^buildkit_operator_builder_(\w+)\{(.*)\} (\S+)$", metrics(exporter), re.MULTILINE)
        for name, labels, value in lines:
            told = dict(re.findall(r'(\w+)="([^"]*)"', labels))
            if told["namespace"] == team.namespace:
                found[(name, told["pod"]) if "pod" in told else (name,)] = float(value)
        return found

    return read


def metrics(exporter: Kubectl) -> str:
    """Return what the exporter serves, through the API server's proxy."""
    running = [pod for pod in exporter.get("pods", SELECTOR) if "deletionTimestamp" not in pod["metadata"]]
    path = f"/api/v1/namespaces/{OPERATOR}/pods/{running[0]['metadata']['name']}:8080/proxy/metrics"
    return exporter.read(path)


def of_all(series: Series, name: str) -> list[float]:
    """Return a metric's values of all pods."""
    return [value for sample, value in series.items() if sample[0] == name]


def up(series: Callable[[], Series], count: int) -> None:
    wait_for(f"{count} daemons answer", lambda: of_all(series(), "up") == [1] * count, 90)


def test_a_build_is_seen_while_it_runs_and_leaves_its_cache(team: Kubectl, series: Callable[[], Series]) -> None:
    team.apply(builder())
    wait_ready(team)
    up(series, 1)
    wait_for("no build", lambda: of_all(series(), "active_builds") == [0])

    files = gated(team)
    files["Dockerfile"] += "RUN head -c 20000000 /dev/zero > /room\n"
    build = Job.start(team, f"{BUILD} --opt build-arg:SALT=seen", files=files)
    build.wait_log("begun seen")
    wait_for("one build", lambda: of_all(series(), "active_builds") == [1])
    open_gate(team)
    build.finish()

    wait_for("no build any more", lambda: of_all(series(), "active_builds") == [0])
    (size,) = wait_for("cache", lambda: [size for size in of_all(series(), "cache_bytes") if size])
    assert size > 10_000_000
    assert of_all(series(), "workers") == [1]


def test_kubectl_scales_and_series_come_and_go(team: Kubectl, series: Callable[[], Series]) -> None:
    team.apply(builder(shared={"replicas": 1}))
    wait_ready(team)
    up(series, 1)

    team("scale", "bkb/demo", "--replicas=3")
    wait_for("three wanted", lambda: series().get(("spec_replicas",)) == 3)
    assert wait_ready(team)["status"]["readyReplicas"] == 3
    up(series, 3)

    team("scale", "bkb/demo", "--replicas=0")
    assert "builds wait" in wait_reason(team, "ScaledToZero")["message"]
    wait_for(
        "nothing of daemons", lambda: [*series()] == [("spec_replicas",), ("runner_pods",), ("runner_pods_ready",)]
    )


def test_an_autoscaler_keeps_its_minimum(team: Kubectl, series: Callable[[], Series]) -> None:
    """There is no metrics server: it can tell no use of CPU, and must not take daemons away for that."""
    team.apply(builder(shared={"replicas": 1}))
    wait_ready(team)

    team.apply(yaml.safe_load((SAMPLES / "horizontalpodautoscaler.yaml").read_text()))

    wait_for("two wanted", lambda: series().get(("spec_replicas",)) == 2, 60)
    assert wait_ready(team)["status"]["readyReplicas"] == 2
    up(series, 2)
    found = wait_for("the autoscaler sees both", lambda: sees(team.get("hpa", "demo"), 2), 60)
    assert found is not None
    assert condition(found, "AbleToScale")["status"] == "True"
    assert condition(found, "ScalingActive")["reason"] == "FailedGetResourceMetric"


def sees(autoscaler: Manifest, replicas: int) -> Manifest | None:
    status: dict[str, Any] = autoscaler.get("status", {})
    return autoscaler if status.get("currentReplicas") == replicas else None
