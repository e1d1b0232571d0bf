"""Every state of a builder, and what Flux (by kstatus) and Argo CD (by our script) make of it.

Who waits for a builder is to go on waiting only where that is of use: where somebody is needed, it fails at once.
"""

import json
import os
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status import DaemonsObserved, Observed, Pending, ProbeResult, SidecarObserved, status_for
from buildkit_operator.status.diagnosis.daemons import Finding
from hack.cluster.controlplane import ControlPlane
from tests.integration.builders.builder_namespace import Builders, owned_by_workload
from tests.integration.builders.gitops import ARGO_CD, SCRIPT, health_of
from tests.unit.make import NOW, make_builder, make_resource

GOOD: Final = ("Current", "Healthy")
SUSPENDED: Final = ("Current", "Suspended")
WAIT: Final = ("InProgress", "Progressing")
FAILED: Final = ("Failed", "Degraded")

State = Callable[[Builders], Manifest]


def found(builders: Builders, name: str = "demo") -> Manifest:
    builder = builders.get("buildkitbuilders", name)
    assert builder is not None
    return builder


def new(builders: Builders) -> Manifest:
    return builders.create()


def edited(builders: Builders) -> Manifest:
    ready(builders)
    change = '--patch={"spec": {"shared": {"drainTimeoutSeconds": 61}}}'
    # As the API server answers, before the operator can have seen it.
    answer: Manifest = json.loads(builders.kubectl("patch", "bkb/demo", "--type=merge", change, "--output=json"))
    return answer


def starting(builders: Builders) -> Manifest:
    builders.create()
    builders.wait_for_deployment()
    builders.wait_reason("Progressing")
    return found(builders)


def ready(builders: Builders) -> Manifest:
    builders.create()
    builders.make_ready()
    return found(builders)


def rolling(builders: Builders) -> Manifest:
    ready(builders)
    builders.play_controller(replicas=2, updatedReplicas=1)
    builders.wait("a roll", lambda: builders.condition("Reconciling"))
    return found(builders)


def failing(builders: Builders) -> Manifest:
    builders.create()
    builders.wait_for_deployment()
    builders.play_controller(readyReplicas=0, availableReplicas=0)
    container = {"name": "buildkitd", "image": "nowhere.example.com/x:1"}
    labels = {"buildkit-operator.dev/owner": "demo"}
    metadata = {"name": "demo-buildkitd-1", "labels": labels, "ownerReferences": owned_by_workload()}
    pod = builders.post("pods", {"metadata": metadata, "spec": {"containers": [container]}})
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    pod["status"]["containerStatuses"] = [
        {**container, "ready": False, "restartCount": 0, "imageID": "", "state": waiting}
    ]
    builders.control_plane.request("PUT", builders.path("pods", "demo-buildkitd-1") + "/status", pod)
    builders.wait_reason("ImagePullFailed")
    return found(builders)


def refuse_pods(builders: Builders, **counts: Any) -> None:
    message = 'pods "demo-buildkitd-7c9d-" is forbidden: violates PodSecurity "baseline:latest": seccompProfile'
    refused = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    builders.play_controller(**counts, conditions=[refused])
    builders.wait("it is stalled", lambda: builders.condition("Stalled"))


def refused(builders: Builders) -> Manifest:
    builders.create()
    builders.wait_for_deployment()
    refuse_pods(builders, replicas=0, updatedReplicas=0, readyReplicas=0, availableReplicas=0)
    return found(builders)


def roll_refused(builders: Builders) -> Manifest:
    ready(builders)
    refuse_pods(builders, updatedReplicas=0)
    assert builders.condition()["status"] == "True"
    return found(builders)


def misspelt(builders: Builders) -> Manifest:
    builders.create(daemon={"toml": "nonsense = true"})
    builders.wait_reason("InvalidToml")
    return found(builders)


def misspelt_later(builders: Builders) -> Manifest:
    ready(builders)
    builders.edit(daemon={"toml": "nonsense = true"})
    builders.wait_reason("InvalidToml")
    return found(builders)


def suspended(builders: Builders) -> Manifest:
    ready(builders)
    builders.edit(suspend=True)
    builders.wait_reason("Suspended")
    return found(builders)


def suspended_at_zero(builders: Builders) -> Manifest:
    at_zero(builders)
    builders.edit(suspend=True)
    builders.wait_reason("Suspended")
    return found(builders)


def suspended_while_down(builders: Builders) -> Manifest:
    suspended(builders)
    builders.play_controller(readyReplicas=0, availableReplicas=0)
    builders.wait("its daemon is down", lambda: builders.condition()["status"] == "False")
    return found(builders)


def born_suspended(builders: Builders) -> Manifest:
    builders.create(suspend=True)
    builders.wait_reason("Suspended")
    return found(builders)


def at_zero(builders: Builders) -> Manifest:
    builders.create(shared={"replicas": 0})
    builders.wait_for_deployment()
    builders.play_controller()
    builders.wait_reason("ScaledToZero")
    return found(builders)


def from_zero(builders: Builders) -> Manifest:
    at_zero(builders)
    builders.kubectl("scale", "bkb/demo", "--replicas=1")
    builders.wait_reason("Progressing")
    return found(builders)


def deleted(builders: Builders) -> Manifest:
    ready(builders)
    # In the foreground, as Argo CD deletes; no garbage collector runs here, so it stays in that state.
    builders.kubectl("delete", "bkb", "demo", "--cascade=foreground", "--wait=false")
    return found(builders)


def sidecar(builders: Builders) -> Manifest:
    builders.create(mode="Sidecar")
    builders.wait_reason("Available")
    return found(builders)


def sidecar_forbidden(builders: Builders) -> Manifest:
    enforce = "pod-security.kubernetes.io/enforce=baseline"
    builders.control_plane.kubectl("label", "namespace", builders.namespace, enforce)
    builders.create(mode="Sidecar")
    builders.wait_reason("PodSecurityDenied")
    return found(builders)


def consumer(builders: Builders, provider: State, reason: str, **spec: Any) -> Manifest:
    """Return a consumer, in its provider's own namespace, once it says so."""
    provider(builders)
    builders.edit(shared={"allowedNamespaces": {"names": [builders.namespace]}})
    builders.create("team", shared={"from": {"namespace": builders.namespace, "name": "demo"}})
    builders.wait("a certificate", lambda: builders.status("team").get("certificateNotAfterTime"))
    builders.edit("team", **spec)
    builders.wait_reason(reason, "team")
    return found(builders, "team")


def consumer_too_early(builders: Builders) -> Manifest:
    builders.create("team", shared={"from": {"namespace": builders.namespace, "name": "demo"}})
    builders.wait_reason("NotAdmitted", "team")
    return found(builders, "team")


STATES: Final[dict[str, tuple[State, tuple[str, str]]]] = {
    "new": (new, WAIT),
    "edited, not looked at yet": (edited, WAIT),
    "its daemon starts": (starting, WAIT),
    "ready": (ready, GOOD),
    "ready, and rolling": (rolling, WAIT),
    "its image cannot be pulled": (failing, WAIT),
    "its pods are refused": (refused, FAILED),
    "a roll's pods are refused, old ones serve": (roll_refused, FAILED),
    "its spec is wrong": (misspelt, FAILED),
    "its spec is wrong, old daemons serve": (misspelt_later, FAILED),
    "suspended": (suspended, SUSPENDED),
    "suspended at zero": (suspended_at_zero, SUSPENDED),
    "suspended, its daemon down": (suspended_while_down, ("InProgress", "Suspended")),
    "suspended before anything was made": (born_suspended, ("Failed", "Suspended")),
    "scaled to zero": (at_zero, GOOD),
    "from zero": (from_zero, WAIT),
    "deleted": (deleted, ("Terminating", "Progressing")),
    "sidecar": (sidecar, GOOD),
    "sidecar that Pod Security forbids": (sidecar_forbidden, FAILED),
    "uses a builder that is ready": (partial(consumer, provider=ready, reason="Available"), GOOD),
    "uses a builder that starts": (partial(consumer, provider=starting, reason="ProviderNotReady"), WAIT),
    "uses a builder that is stalled": (partial(consumer, provider=misspelt_later, reason="ProviderNotReady"), FAILED),
    "uses a builder at zero": (partial(consumer, provider=at_zero, reason="ScaledToZero"), GOOD),
    "uses a builder, suspended": (partial(consumer, provider=ready, reason="Suspended", suspend=True), SUSPENDED),
    "uses a builder that does not admit it": (consumer_too_early, FAILED),
}


@pytest.mark.usefixtures("policies")
@pytest.mark.parametrize("state", STATES)
def test_a_builder_is_taken_for_what_it_is(builders: Builders, state: str) -> None:
    arrange, expected = STATES[state]
    builder = arrange(builders)

    (health,) = health_of([builder])

    assert health.words == expected
    ready = condition(builder, "Ready")
    if expected[0] in {"Failed", "InProgress"} and ready.get("observedGeneration") == builder["metadata"]["generation"]:
        assert health.kstatus_message == health.argo_message == ready["message"]


# Reasons, all of them, by the operator's own code without an operator


def statuses() -> dict[str, Manifest]:
    """Return builders that tell of each reason as a problem, of their daemons and of a sidecar."""
    told: dict[str, Manifest] = {}
    for reason in Reason:
        finding = Finding(reason, f"A sentence on {reason}.")
        problem = DaemonsObserved(blocked=TerminalError(reason, finding.message))
        told[f"problem {reason}"] = builder_of(problem)
        told[f"sidecar {reason}"] = builder_of(
            SidecarObserved(probe=ProbeResult(served=False, finding=finding)), mode="Sidecar"
        )
        told[f"waiting {reason}"] = builder_of(DaemonsObserved(blocked=Pending(reason, finding.message)))
    return told


def builder_of(observed: Observed, **spec: Any) -> Manifest:
    status = status_for(make_builder(**spec), observed, {}, NOW)
    return {**make_resource(**spec), "status": status}


def test_both_agree_on_every_reason_and_tell_its_sentence() -> None:
    told = statuses()

    for (case, builder), health in zip(told.items(), health_of(list(told.values())), strict=True):
        assert health.words in (WAIT, FAILED), case
        assert health.kstatus_message == health.argo_message == condition(builder, "Ready")["message"], case
        expected = {"problem": FAILED, "waiting": WAIT}.get(case.split()[0], health.words)
        assert health.words == expected, case


# The script, as Argo CD is given it


def test_a_script_that_argo_cd_would_not_take_is_not_taken_here(tmp_path: Path) -> None:
    """What is tested is a Lua without os, io and string: what uses those fails in Argo CD, too."""
    script = tmp_path / "health.lua"
    for text in ('return {status = "Fine"}', "return 1", "os.exit()", 'return {status = string.lower("HEALTHY")}'):
        script.write_text(text)
        with pytest.raises(subprocess.CalledProcessError):
            health_of([make_resource()], script)


KEY: Final = "resource.customizations.health.buildkit-operator.dev_BuildKitBuilder"
ARGO_CM: Final[Manifest] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "argocd-cm", "namespace": "argocd", "labels": {"app.kubernetes.io/part-of": "argocd"}},
    "data": {"url": "https://argocd.example.com"},
}


def test_the_component_adds_the_script_to_an_argo_cd_that_kustomize_installs(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    (tmp_path / "argocd-cm.yaml").write_text(yaml.safe_dump(ARGO_CM))
    component = os.path.relpath(ARGO_CD.resolve(), tmp_path.resolve())
    kustomization = {"resources": ["argocd-cm.yaml"], "components": [component]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))

    made = yaml.safe_load(control_plane.kubectl("kustomize", str(tmp_path)))

    assert made["metadata"]["name"] == "argocd-cm"
    assert made["metadata"]["labels"] == ARGO_CM["metadata"]["labels"]
    assert made["data"] == {**ARGO_CM["data"], KEY: SCRIPT.read_text()}


def test_kubectl_adds_the_script_to_an_argo_cd_that_is_there(control_plane: ControlPlane, namespace: str) -> None:
    found = {**ARGO_CM, "metadata": {**ARGO_CM["metadata"], "namespace": namespace}}
    control_plane.request("POST", f"/api/v1/namespaces/{namespace}/configmaps", found)
    create = ("create", "configmap", "argocd-cm", f"--namespace={namespace}", f"--from-file={KEY}={SCRIPT}")
    made = control_plane.kubectl(*create, "--dry-run=client", "--output=yaml")

    control_plane.kubectl("apply", "--server-side", "--field-manager=buildkit-operator", "--filename=-", text=made)

    after = control_plane.request("GET", f"/api/v1/namespaces/{namespace}/configmaps/argocd-cm")
    assert after["metadata"]["labels"] == ARGO_CM["metadata"]["labels"]
    assert after["data"] == {**ARGO_CM["data"], KEY: SCRIPT.read_text()}
