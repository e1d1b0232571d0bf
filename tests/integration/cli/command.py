"""Runs `status` and `doctor` as people do, and makes what they look at."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from buildkit_operator.kube.resources import Manifest
from hack.cluster.controlplane import ControlPlane

DEPLOY: Final = Path(__file__).parents[3] / "deploy"
OPERATOR: Final = "buildkit-operator"
SOMEBODY: Final = "somebody"
VIEW: Final = ("system:aggregate-to-view", "buildkit-operator-view")
"""What the cluster's role `view` is put together from, by a controller that does not run here."""


@dataclass(frozen=True)
class Answer:
    """What a command printed and ended with."""

    exit_status: int
    text: str
    complaint: str

    @property
    def document(self) -> Any:
        return json.loads(self.text)

    @property
    def results(self) -> dict[str, str]:
        """Return the doctor's results by check."""
        return {check["check"]: check["result"] for check in self.document["checks"]}

    def said(self, check: str) -> str:
        """Return all that a check of the doctor says."""
        (findings,) = (found["findings"] for found in self.document["checks"] if found["check"] == check)
        return "\n".join(f"{finding['message']} {finding['remedy']} {finding['page']}" for finding in findings)


def run(kubeconfig: Path | None, *arguments: str, **environment: str) -> Answer:
    """Run a command in an environment in which nothing else names a cluster."""
    named = {} if kubeconfig is None else {"KUBECONFIG": str(kubeconfig)}
    home = {"HOME": "/nonexistent", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-m", "buildkit_operator", *arguments],
        env={**home, **named, **environment},
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return Answer(done.returncode, done.stdout, done.stderr)


def shipped(kind: str, name: str) -> Manifest:
    """Return an object that deploy/ has, wherever that keeps it."""
    for file in sorted(DEPLOY.rglob("*.yaml")):
        if "helm" not in file.parts:
            for manifest in yaml.safe_load_all(file.read_text()):
                if manifest and manifest.get("kind") == kind and manifest["metadata"]["name"] == name:
                    return dict(manifest)
    raise AssertionError(f"deploy/ has no {kind} {name}")


def apply(control_plane: ControlPlane, *manifests: Manifest) -> None:
    flags = ("apply", "--server-side", "--force-conflicts", "--filename=-")
    control_plane.kubectl(*flags, text=yaml.safe_dump_all(manifests))


@contextmanager
def applied(control_plane: ControlPlane, *manifests: Manifest) -> Iterator[None]:
    """Have objects for the length of a block."""
    apply(control_plane, *manifests)
    try:
        yield
    finally:
        control_plane.kubectl(
            "delete", "--wait=false", "--ignore-not-found", "--filename=-", text=yaml.safe_dump_all(manifests)
        )


def print_manifests(what: str) -> list[Manifest]:
    """Return what `crds` or `policies` prints."""
    return list(yaml.safe_load_all(run(None, what).text))


def play_deployment(control_plane: ControlPlane, name: str) -> None:
    """Write a Deployment's status as when all its pods are ready: it has no controller here."""
    path = f"/apis/apps/v1/namespaces/{OPERATOR}/deployments/{name}"
    live = control_plane.request("GET", path)
    counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
    live["status"] = dict.fromkeys(counts, live["spec"]["replicas"])
    control_plane.request("PUT", f"{path}/status", live)


def create_node(control_plane: ControlPlane, name: str, kernel: str, runtime: str = "containerd://2.1.4") -> None:
    """Make a Node as a kubelet registers itself."""
    info = {
        "kubeletVersion": "v1.37.0",
        "kernelVersion": kernel,
        "containerRuntimeVersion": runtime,
        "operatingSystem": "linux",
        **dict.fromkeys(("architecture", "bootID", "kubeProxyVersion", "machineID", "osImage", "systemUUID"), ""),
    }
    control_plane.request("POST", "/api/v1/nodes", {"metadata": {"name": name}, "status": {"nodeInfo": info}})


def create_namespace(control_plane: ControlPlane, **labels: str) -> str:
    name = f"test-{uuid.uuid4().hex[:8]}"
    control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
    return name


def user(control_plane: ControlPlane, namespace: str, *roles: str) -> Path:
    """Return the kubeconfig of somebody with no rights but those of ClusterRoles, in a namespace."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": SOMEBODY, "namespace": namespace}}
    apply(control_plane, account, *(_binding(namespace, role) for role in roles))
    return control_plane.service_account_kubeconfig(namespace, SOMEBODY)


def _binding(namespace: str, role: str) -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": role, "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": SOMEBODY, "namespace": namespace}],
    }
