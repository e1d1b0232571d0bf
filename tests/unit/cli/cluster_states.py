"""Small builders of what the doctor looks at."""

from typing import Any, Final

from buildkit_operator.admission import daemon_labels, own_pods, policies
from buildkit_operator.api import crd
from buildkit_operator.cli.checks import CHECKS
from buildkit_operator.cli.checks.cluster_state import ClusterState, Unasked
from buildkit_operator.cli.checks.findings import CheckFinding, CheckResult, worst
from buildkit_operator.kube.resources import Manifest
from tests.unit.make import NOW, make_resource

FORBIDDEN: Final = Unasked("You lack the right to list that.")
PAST: Final = "2026-11-24T11:00:00Z"


def live(name: str = "demo", *, status: Manifest | None = None, **spec: Any) -> Manifest:
    """Return a builder that is ready, of mode Shared unless the spec says otherwise, or with another status."""
    made = make_resource(name, **spec)
    made["metadata"]["creationTimestamp"] = PAST
    return made | {"status": ready() if status is None else status}


def ready(status: str = "True", reason: str = "Available", message: str = "1 of 1 daemon ready.") -> Manifest:
    """Return the status of a builder that the operator has looked at."""
    condition = {
        "type": "Ready",
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": PAST,
        "observedGeneration": 1,
    }
    return {"observedGeneration": 1, "conditions": [condition]}


def cluster(minor: int = 37, **facts: Any) -> ClusterState:
    """Return a cluster with nothing of ours in it, but for these facts."""
    return ClusterState(now=NOW, server_minor=minor, **facts)


def found(check: str, seen: ClusterState) -> list[CheckFinding]:
    """Return what a check finds. It always finds something."""
    findings = list(CHECKS[check](seen))
    assert findings
    return findings


def result(check: str, seen: ClusterState) -> CheckResult:
    return worst(finding.result for finding in found(check, seen))


def messages(check: str, seen: ClusterState) -> str:
    """Return all that a check says and advises."""
    return "\n".join(f"{finding.message} {finding.remedy}" for finding in found(check, seen))


def installed_definition() -> Manifest:
    conditions = [{"type": kind, "status": "True"} for kind in ("NamesAccepted", "Established")]
    return crd.definition() | {"status": {"conditions": conditions, "storedVersions": ["v1alpha1"]}}


def installed_policies() -> list[Manifest]:
    return policies.manifests()


def installed_probe_policy(user: str = own_pods.USER) -> list[Manifest]:
    return own_pods.manifests(user)


def installed_labels_policy() -> list[Manifest]:
    return daemon_labels.manifests()


def installed_webhook(bundle: str = "Y2E=") -> Manifest:
    names = [f"{which}.buildkit-operator.dev" for which in ("label", "selector", "restore")]
    hooks = [{"name": name, "clientConfig": {"caBundle": bundle} if bundle else {}} for name in names]
    return {"metadata": {"name": "buildkit-operator-webhook"}, "webhooks": hooks}


def endpoints(*states: str) -> list[Manifest]:
    """Return an EndpointSlice with endpoints that are `ready` or something else."""
    conditions = [{"ready": state == "ready"} for state in states]
    return [{"endpoints": [{"addresses": ["10.0.0.1"], "conditions": condition} for condition in conditions]}]


def deployment(part: str = "operator", *, ready: int = 2, wanted: int = 2, **env: str) -> Manifest:
    container = {
        "name": part,
        "image": "example.com/operator:1",
        "args": [part],
        "env": [{"name": f"BUILDKIT_OPERATOR_{name}", "value": value} for name, value in env.items()],
    }
    return {
        "metadata": {"name": "buildkit-operator", "namespace": "buildkit-operator"},
        "spec": {"replicas": wanted, "template": {"spec": {"containers": [container]}}},
        "status": {"readyReplicas": ready} if ready else {},
    }


def lease(renewed: str = "2026-11-24T11:59:57.000000Z", holder: str = "operator-1") -> Manifest:
    return {"spec": {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15}}


def node(
    name: str = "node-1",
    *,
    kubelet: str = "v1.36.0",
    runtime: str = "containerd://2.1.4",
    kernel: str = "6.12.13-talos",
    system: str = "linux",
) -> Manifest:
    info = {
        "kubeletVersion": kubelet,
        "containerRuntimeVersion": runtime,
        "kernelVersion": kernel,
        "operatingSystem": system,
    }
    return {"metadata": {"name": name}, "status": {"nodeInfo": info}}


def asking_pod(
    name: str = "job", *, builder: str = "demo", created: str = "2026-11-24T11:30:00Z", **spec: Any
) -> Manifest:
    """Return a runner pod that asks for a builder and got nothing."""
    return {
        "metadata": {
            "name": name,
            "namespace": "ci",
            "creationTimestamp": created,
            "labels": {"buildkit-operator.dev/builder": builder},
        },
        "spec": {"containers": [{"name": "job"}], **spec},
    }
