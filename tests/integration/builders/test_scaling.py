"""The scale subresource, by kubectl and by the real controller of HorizontalPodAutoscalers; no pod ever runs here."""

import json
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from buildkit_operator.kube.manifests import condition
from hack.cluster import artifacts
from hack.cluster.controlplane import ControlPlane
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.conftest import StartOperator
from tests.integration.conftest import CRDS

SAMPLES: Final = Path(__file__).parents[3] / "deploy" / "samples" / "scaling"


def autoscaler(**spec: Any) -> dict[str, Any]:
    """Return the HorizontalPodAutoscaler of the samples, with fields of its spec changed."""
    manifest: dict[str, Any] = yaml.safe_load((SAMPLES / "horizontalpodautoscaler.yaml").read_text())
    manifest["spec"].update(spec)
    return manifest


def replicas(builders: Builders) -> int:
    wanted: int = builders.deployment()["spec"]["replicas"]
    return wanted


def test_kubectl_scale(builders: Builders) -> None:
    builders.create(shared={"replicas": 1})
    builders.make_ready()

    builders.kubectl("scale", "bkb/demo", "--replicas=3")
    builders.wait("three daemons", lambda: replicas(builders) == 3)
    builders.make_ready()

    scale = builders.control_plane.request("GET", builders.path("buildkitbuilders", "demo") + "/scale")
    assert scale["spec"] == {"replicas": 3}
    assert scale["status"] == {
        "replicas": 3,
        "selector": "buildkit-operator.dev/owner=demo,app.kubernetes.io/name=buildkitd",
    }


def test_to_zero_and_back(builders: Builders) -> None:
    builders.create(shared={"replicas": 1})
    builders.make_ready()

    builders.kubectl("scale", "bkb/demo", "--replicas=0")
    builders.wait("no daemon", lambda: replicas(builders) == 0)
    builders.play_controller()
    ready = builders.wait_reason("ScaledToZero")

    assert ready["status"] == "True"
    assert "builds wait" in ready["message"].lower()
    assert builders.condition("Stalled") == builders.condition("Reconciling") == {}
    builders.kubectl("scale", "bkb/demo", "--replicas=1")
    builders.make_ready()


def test_who_owns_the_number_of_replicas(builders: Builders) -> None:
    """GitOps that leaves it out does not take it back from an autoscaler."""
    manifest = yaml.safe_dump(
        {
            "apiVersion": "buildkit-operator.dev/v1alpha1",
            "kind": "BuildKitBuilder",
            "metadata": {"name": "demo"},
            "spec": {"mode": "Shared", "shared": {"drainTimeoutSeconds": 60}},
        }
    )
    apply = ("apply", "--server-side", "--field-manager=gitops", "--filename=-")
    builders.control_plane.kubectl(f"--namespace={builders.namespace}", *apply, text=manifest)
    builders.kubectl("scale", "bkb/demo", "--replicas=4")

    builders.control_plane.kubectl(f"--namespace={builders.namespace}", *apply, text=manifest)

    found = builders.get("buildkitbuilders", "demo")
    assert found is not None
    assert found["spec"]["shared"]["replicas"] == 4


def test_an_autoscaler_needs_the_field_shared(builders: Builders) -> None:
    """What the field is for: without it there is no number of replicas that an autoscaler could read."""
    builders.create()
    scale = builders.path("buildkitbuilders", "demo") + "/scale"

    with pytest.raises(urllib.error.HTTPError) as refused:
        builders.control_plane.request("GET", scale)

    message = json.load(refused.value)["message"]
    assert '".spec.shared.replicas" does not exist' in message
    builders.edit(shared={})
    assert builders.control_plane.request("GET", scale)["spec"] == {"replicas": 1}


# The real controller of autoscalers


@pytest.fixture(scope="module")
def autoscaled() -> Iterator[ControlPlane]:
    """Start an API server with the controller of HorizontalPodAutoscalers. There is no metrics server."""
    with ControlPlane(controllers=("horizontal-pod-autoscaler-controller",)) as control_plane:
        control_plane.apply_crds(CRDS)
        yield control_plane


def test_an_autoscaler_keeps_its_minimum_without_any_metric(
    autoscaled: ControlPlane, start_operator: StartOperator
) -> None:
    start_operator(autoscaled)
    autoscaled.request("POST", "/api/v1/namespaces", {"metadata": {"name": "ci"}})
    builders = Builders(autoscaled, "ci")
    builders.create(shared={"replicas": 1})
    builders.make_ready()

    autoscaled.request(
        "POST", "/apis/autoscaling/v2/namespaces/ci/horizontalpodautoscalers?fieldValidation=Strict", autoscaler()
    )
    builders.wait("two daemons", lambda: replicas(builders) == 2, 60)
    builders.make_ready()

    def seen() -> dict[str, Any] | None:
        path = "/apis/autoscaling/v2/namespaces/ci/horizontalpodautoscalers/demo"
        found: dict[str, Any] = autoscaled.request("GET", path)
        able = condition(found, "AbleToScale")
        return found if able and found["status"].get("currentReplicas") == 2 else None

    found = builders.wait("the autoscaler sees both", seen, 60)
    assert found is not None
    assert condition(found, "AbleToScale")["status"] == "True"
    active = condition(found, "ScalingActive")
    assert active.get("reason") == "FailedGetResourceMetric", active


# KEDA, whose definition of ScaledObjects is its own; its controllers do not run here


@pytest.mark.parametrize("sample", ["scaledobject-runners.yaml", "scaledobject-prometheus.yaml"])
def test_keda_accepts_the_samples(builders: Builders, keda: None, sample: str) -> None:  # noqa: ARG001  it knows the kind
    builders.kubectl("create", "--dry-run=server", "--validate=strict", f"--filename={SAMPLES / sample}")


@pytest.fixture(scope="module")
def keda(control_plane: ControlPlane) -> None:
    """Let the shared API server know ScaledObjects."""
    control_plane.apply_crds(artifacts.ensure("files:keda")["files:keda"] / "keda.sh_scaledobjects.yaml")
