"""A restart at rest writes nothing: not an object, a status or an event, whatever state a builder is in."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from buildkit_operator.kube.resources import Manifest
from hack.cluster import artifacts
from hack.cluster.controlplane import ControlPlane
from tests.integration.builders.builder_namespace import Builders, owned_by_workload
from tests.integration.builders.builder_operator import BuilderOperator
from tests.integration.builders.conftest import StartOperator, apply_policies
from tests.integration.builders.test_problems import registry_with_ca

TEAM: Final = "team"
"""A namespace with an engine that injects."""
BARE: Final = "bare"
"""One without."""
BASELINE: Final = "baseline"
"""One that enforces Pod Security."""
FULL: Final = "full"
"""One whose quota is used up."""
BY_ISSUER: Final[Manifest] = {"tls": {"mode": "CertManager", "issuerRef": {"name": "builds"}}}
SUSPENDED: Final[Manifest] = {"suspend": True}
MISSING: Final[Manifest] = {"localCache": {"claimName": "missing"}}
COUNTS: Final = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
TWICE_AT_LEAST: Final = 13
"""Seconds in which the successor has looked at everything, and again at what it looks at every ten seconds."""

STATES: Final[dict[tuple[str, str], tuple[str, Manifest]]] = {
    (TEAM, "shared-ready"): ("Available", {}),
    (TEAM, "shared-starting"): ("Progressing", {}),
    (TEAM, "shared-image"): ("ImagePullFailed", {}),
    (TEAM, "shared-zero"): ("ScaledToZero", {"shared": {"replicas": 0}}),
    (TEAM, "shared-by-demand"): ("ScaledToZero", {"shared": {"autoscaling": {"minReplicas": 0, "maxReplicas": 2}}}),
    (TEAM, "shared-on-claims"): ("Progressing", {"cache": {"persistentVolumeClaim": {}, "size": "1Gi"}}),
    (TEAM, "shared-no-tls"): ("Available", {"shared": {"tls": {"mode": "Disabled"}}}),
    (TEAM, "shared-ordered"): ("CertificatePending", {"shared": BY_ISSUER}),
    (TEAM, "shared-toml"): ("InvalidToml", {"daemon": {"toml": "nonsense = true"}}),
    (TEAM, "shared-secret"): ("SecretNotFound", {"daemon": registry_with_ca("missing")}),
    (TEAM, "shared-conflict"): ("NameConflict", {}),
    (TEAM, "shared-unbegun"): ("Suspended", SUSPENDED),
    (TEAM, "shared-suspended"): ("Suspended", {}),
    (TEAM, "consumer"): ("Available", {"shared": {"from": {"namespace": BARE, "name": "provider"}}}),
    (TEAM, "consumer-not-admitted"): ("NotAdmitted", {"shared": {"from": {"namespace": BARE, "name": "private"}}}),
    (TEAM, "consumer-of-none"): ("NotAdmitted", {"shared": {"from": {"namespace": BARE, "name": "none"}}}),
    (TEAM, "consumer-waits"): ("ProviderNotReady", {"shared": {"from": {"namespace": BARE, "name": "starting"}}}),
    (TEAM, "consumer-suspended"): ("Suspended", {"shared": {"from": {"namespace": BARE, "name": "provider"}}}),
    (TEAM, "sidecar"): ("Available", {"mode": "Sidecar"}),
    (TEAM, "sidecar-image"): ("ImagePullFailed", {"mode": "Sidecar"}),
    (TEAM, "sidecar-claim"): ("ClaimNotFound", {"mode": "Sidecar", "injection": MISSING}),
    (TEAM, "sidecar-suspended"): ("Suspended", {"mode": "Sidecar"}),
    (TEAM, "sidecar-unbegun"): ("Suspended", {"mode": "Sidecar", **SUSPENDED}),
    (BARE, "sidecar"): ("InjectionNotServed", {"mode": "Sidecar"}),
    (BARE, "sidecar-suspended"): ("Suspended", {"mode": "Sidecar"}),
    (BARE, "provider"): ("Available", {"shared": {"allowedNamespaces": {"names": [TEAM]}}}),
    (BARE, "private"): ("Available", {}),
    (BARE, "starting"): ("Progressing", {"shared": {"allowedNamespaces": {"names": [TEAM]}}}),
    (BASELINE, "sidecar"): ("PodSecurityDenied", {"mode": "Sidecar"}),
    (BASELINE, "shared"): ("PodSecurityDenied", {"cache": {"persistentVolumeClaim": {}, "size": "1Gi"}}),
    (FULL, "sidecar"): ("Available", {"mode": "Sidecar"}),
    (FULL, "shared"): ("Available", {}),
}
"""The reason of each builder's Ready, and its spec, by namespace and name."""


@pytest.fixture
def control_plane(start_control_plane: Callable[..., ControlPlane]) -> ControlPlane:
    """Start an API server of this test's own: everything that is written there is looked at."""
    control_plane = start_control_plane()
    folder: Path = artifacts.ensure("files:cert-manager")["files:cert-manager"]
    control_plane.apply_crds(folder / "cert-manager.io_certificates.yaml")
    apply_policies(control_plane)
    # The engine is there for some.
    chosen = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [BARE]}
    change = {"spec": {"matchResources": {"namespaceSelector": {"matchExpressions": [chosen]}}}}
    bindings = "mutatingadmissionpolicybindings"
    for binding in control_plane.kubectl("get", bindings, "--output=name").split():
        control_plane.kubectl("patch", binding, "--type=merge", f"--patch={json.dumps(change)}")
    for name in (TEAM, BARE, BASELINE, FULL):
        labels = {"pod-security.kubernetes.io/enforce": "baseline"} if name == BASELINE else {}
        control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    return control_plane


def test_a_restart_at_rest_writes_nothing_whatever_state_a_builder_is_in(
    control_plane: ControlPlane, start_operator: StartOperator
) -> None:
    namespaces = {name: Builders(control_plane, name) for name in (TEAM, BARE, BASELINE, FULL)}
    operator = start_operator(control_plane)
    bring_about(namespaces)
    wait_for_states(namespaces)
    # Numbers of pods, which are told some seconds later, are in what a builder says.
    for builders in namespaces.values():
        builders.wait_at_rest()
    before = told(namespaces)
    end(operator)
    mark = control_plane.mark()

    start_operator(control_plane)
    # Nothing tells that a process will write nothing.
    time.sleep(TWICE_AT_LEAST)

    ours = [r for r in control_plane.audit(mark) if r.user_agent.startswith("buildkit-operator") and r.writes]
    assert [request for request in ours if request.resource != "leases" and request.code < 400] == []
    assert told(namespaces) == before


def bring_about(namespaces: dict[str, Builders]) -> None:
    """Create the builders, and play controllers and kubelet until each is in its state."""
    team, bare = namespaces[TEAM], namespaces[BARE]
    namespaces[FULL].set_quota(pods="0")
    team.post("configmaps", {"metadata": {"name": "shared-conflict-buildkitd"}})
    for (namespace, name), (_, spec) in STATES.items():
        namespaces[namespace].create(name, **spec)
    for builders, name in (
        (team, "shared-ready"),
        (team, "shared-no-tls"),
        (team, "shared-suspended"),
        (bare, "provider"),
        (bare, "private"),
        (namespaces[FULL], "shared"),
    ):
        builders.make_ready(name)
    for name in ("shared-zero", "shared-by-demand"):
        team.wait_for_deployment(name)
        team.play_controller(name)
    refused_image(team)
    team.wait_reason("Available", "sidecar-image")
    failing_runner(team, "sidecar-image")
    team.wait("a StatefulSet", lambda: namespaces[BASELINE].get("statefulsets", "shared-buildkitd"))
    none_ready: dict[str, Any] = dict.fromkeys(COUNTS, 0)
    namespaces[BASELINE].play_controller("shared", "statefulsets", **none_ready)
    team.wait_reason("Available", "consumer-suspended")
    team.wait_reason("Available", "sidecar-suspended")
    bare.wait_reason("InjectionNotServed", "sidecar-suspended")
    for builders, name in (
        (team, "shared-suspended"),
        (team, "consumer-suspended"),
        (team, "sidecar-suspended"),
        (bare, "sidecar-suspended"),
    ):
        builders.edit(name, **SUSPENDED)


def refused_image(builders: Builders) -> None:
    """Play a daemon's pod whose image cannot be pulled."""
    builders.wait_for_deployment("shared-image")
    labels = {"app.kubernetes.io/name": "buildkitd", "buildkit-operator.dev/owner": "shared-image"}
    owners = owned_by_workload(name="shared-image-buildkitd-7c9d")
    metadata = {"name": "shared-image-0", "labels": labels, "ownerReferences": owners}
    builders.post("pods", {"metadata": metadata, "spec": {"containers": [{"name": "buildkitd", "image": "nowhere"}]}})
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    state = {"name": "buildkitd", "image": "", "imageID": "", "ready": False, "restartCount": 0}
    status = {"phase": "Pending", "containerStatuses": [{**state, "state": {"waiting": waiting}}]}
    builders.patch("pods", "shared-image-0", {"status": status}, "status")
    builders.play_controller("shared-image", readyReplicas=0, availableReplicas=0)


def failing_runner(builders: Builders, name: str) -> None:
    """Play a runner pod whose daemon's image cannot be pulled, which is told in an event of the pod."""
    labels = {"buildkit-operator.dev/builder": name}
    spec = {"containers": [{"name": "job", "image": "example.com/job"}]}
    builders.post("pods", {"metadata": {"name": "runner", "labels": labels}, "spec": spec})
    waiting = {"reason": "ImagePullBackOff", "message": "no such image"}
    state = {"name": "buildkitd", "image": "", "imageID": "", "ready": False, "restartCount": 0}
    status = {"phase": "Pending", "initContainerStatuses": [{**state, "state": {"waiting": waiting}}]}
    builders.patch("pods", "runner", {"status": status}, "status")
    builders.wait("the pod's event", lambda: builders.events("runner"))


def wait_for_states(namespaces: dict[str, Builders]) -> None:
    wanted = {of: reason for of, (reason, _) in STATES.items()}

    def reasons() -> dict[tuple[str, str], str]:
        return {of: namespaces[of[0]].condition(name=of[1]).get("reason", "") for of in STATES}

    with suppress(TimeoutError):  # which are not as they should be is what is of interest
        namespaces[TEAM].wait("all are in their states", lambda: reasons() == wanted)
    assert reasons() == wanted


def told(namespaces: dict[str, Builders]) -> dict[tuple[str, str], Manifest]:
    """Return what every builder says."""
    return {(namespace, name): namespaces[namespace].status(name) for namespace, name in STATES}


def end(operator: BuilderOperator) -> None:
    operator.terminate()
    assert operator.wait() == 0
