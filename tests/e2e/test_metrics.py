"""What Prometheus scrapes of shared daemons, of real builds, and what the operator tells while builders are scaled."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from buildkit_operator.api.shared import METRICS_PORT
from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import Manifest
from hack.cluster.installation import OPERATOR
from hack.cluster.kubectl import Kubectl, KubectlError, wait_for
from tests.support.daemons import daemon_pods
from tests.support.jobs import BUILD, Job, JobError, builder, gated, open_gate, run, wait_ready, wait_reason

SELECTOR: Final = f"--selector=app.kubernetes.io/name={OPERATOR}"
SAMPLES: Final = Path(__file__).parents[2] / "deploy" / "samples" / "scaling"

Told = Callable[[], dict[str, float]]


def served(team: Kubectl, path: str) -> str:
    """Return what the only daemon's pod serves at a path of its port for metrics, to who has no certificate."""
    (pod,) = daemon_pods(team)
    return team.read(f"/api/v1/namespaces/{team.namespace}/pods/{pod}:{METRICS_PORT}/proxy{path}")


def value(team: Kubectl, path: str, name: str, **labels: str) -> float:
    """Return the sum of a metric's series that have these labels."""
    found = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", served(team, path), re.MULTILINE)
    return sum(float(number) for told, number in found if labels.items() <= dict(_labels(told)).items())


def _labels(told: str) -> list[tuple[str, str]]:
    return re.findall(r'(\w+)="([^"]*)"', told)


@pytest.fixture
def told(team: Kubectl, cluster: Kubectl) -> Told:
    """Return a function that reads what the operator tells of the test's builder, by the ends of the metrics' names."""
    operator = cluster.within(OPERATOR)

    def read() -> dict[str, float]:
        pod, *_ = [pod for pod in operator.get("pods", SELECTOR) if "deletionTimestamp" not in pod["metadata"]]
        path = f"/api/v1/namespaces/{OPERATOR}/pods/{pod['metadata']['name']}:8080/proxy/metrics"
        lines = re.findall(r"^buildkit_operator_builder_(\w+)\{(.*)\} (\S+)$", operator.read(path), re.MULTILINE)
        return {name: float(number) for name, labels, number in lines if f'namespace="{team.namespace}"' in labels}

    return read


def test_a_build_is_seen_while_it_runs_and_counted_when_it_has_ended(team: Kubectl) -> None:
    team.apply(builder())
    wait_ready(team)
    wait_for("no build", lambda: value(team, "/front", "buildkit_front_builds") == 0)
    assert value(team, "/front", "buildkit_front_builds_total") == 0
    assert value(team, "/metrics", "buildkit_builds_total") == 0

    build = Job.start(team, f"{BUILD} --opt build-arg:SALT=seen", files=gated(team))
    build.wait_log("begun seen")
    wait_for("one build", lambda: value(team, "/front", "buildkit_front_builds") == 1)
    open_gate(team)
    build.finish()

    wait_for("no build any more", lambda: value(team, "/front", "buildkit_front_builds") == 0)
    assert value(team, "/front", "buildkit_front_builds_total") == 1
    wait_for("BuildKit counts it", lambda: value(team, "/metrics", "buildkit_builds_total", status="success") == 1)
    assert value(team, "/metrics", "buildkit_build_duration_seconds_count", status="success") == 1
    assert value(team, "/metrics", "buildkit_build_duration_seconds_sum", status="success") > 0
    steps = {kind: value(team, "/metrics", "buildkit_builds_steps_total", kind=kind) for kind in ("cached", "total")}
    assert steps["total"] > steps["cached"]
    traffic = [f"haproxy_frontend_bytes_{way}_total" for way in ("in", "out")]
    assert all(value(team, "/haproxy", name, proxy="builds") > 0 for name in traffic)


def test_a_build_that_fails_is_counted_as_such(team: Kubectl) -> None:
    team.apply(builder())
    wait_ready(team)

    with pytest.raises(JobError):
        run(team, BUILD, files={"Dockerfile": "FROM scratch\nCOPY missing /\n"})

    wait_for("BuildKit counts it", lambda: value(team, "/metrics", "buildkit_builds_total", status="failure") == 1)
    assert value(team, "/metrics", "buildkit_builds_total", status="success") == 0


def test_of_what_the_daemon_serves_for_debugging_nothing_but_metrics_can_be_reached(team: Kubectl) -> None:
    team.apply(builder())
    wait_ready(team)

    assert "go_goroutines" in served(team, "/metrics")
    for path in ("/debug/pprof/", "/debug/pprof/heap", "/debug/vars", "/debug/requests", "/"):
        with pytest.raises(KubectlError, match=r"\(404\)"):
            served(team, path)


def test_kubectl_scales_and_the_operator_tells_it(team: Kubectl, told: Told) -> None:
    team.apply(builder(shared={"replicas": 1}))
    wait_ready(team)
    wait_for("one daemon", lambda: daemons(told()) == (1, 1))

    team("scale", "bkb/demo", "--replicas=3")
    wait_for("three wanted", lambda: told()["spec_replicas"] == 3)
    assert wait_ready(team)["status"]["readyReplicas"] == 3
    wait_for("three ready", lambda: daemons(told()) == (3, 3))

    team("scale", "bkb/demo", "--replicas=0")
    assert "builds wait" in wait_reason(team, "ScaledToZero")["message"]
    wait_for("none", lambda: daemons(told()) == (0, 0))
    assert told()["runner_pods"] == 0


def daemons(told: dict[str, float]) -> tuple[float, float]:
    """Return how many there should be, and are ready."""
    return told["spec_replicas"], told["ready_replicas"]


def test_an_autoscaler_keeps_its_minimum(team: Kubectl, told: Told) -> None:
    """There is no metrics server: it can tell no use of CPU, and must not take daemons away for that."""
    team.apply(builder(shared={"replicas": 1}))
    wait_ready(team)

    team.apply(yaml.safe_load((SAMPLES / "horizontalpodautoscaler.yaml").read_text()))

    wait_for("two wanted", lambda: told()["spec_replicas"] == 2, 60)
    assert wait_ready(team)["status"]["readyReplicas"] == 2
    found = wait_for("the autoscaler sees both", lambda: sees(team.get("hpa", "demo"), 2), 60)
    assert found is not None
    assert condition(found, "AbleToScale")["status"] == "True"
    assert condition(found, "ScalingActive")["reason"] == "FailedGetResourceMetric"


def sees(autoscaler: Manifest, replicas: int) -> Manifest | None:
    status: dict[str, Any] = autoscaler.get("status", {})
    return autoscaler if status.get("currentReplicas") == replicas else None
