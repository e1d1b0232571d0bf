"""Runner pods of the end-to-end tests: what a CI system makes for a job, with the one label that asks for a builder."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from buildkit_operator.kube.resources import Manifest
from hack.cluster import pins
from hack.cluster.installation import REGISTRY
from hack.cluster.kubectl import Kubectl, wait_for
from tests.support.jobs import DOCKERFILE, builder

LABEL: Final = "buildkit-operator.dev/builder"
JOB_LABEL: Final = "batch.kubernetes.io/job-name"
DAEMON: Final = "buildkitd"
IMAGE: Final = f"{REGISTRY}/org/sidecar"

SOCKET: Final = "unix:///run/buildkit/buildkitd.sock"
BUILD: Final = f"buildctl --addr {SOCKET} build --progress plain --frontend dockerfile.v0 \
--local context=. --local dockerfile=."
"""The command line of a build of the job's directory, up to its output."""


def push(tag: str) -> str:
    """Return the output of a build that pushes this tag."""
    return f"--output type=image,name={IMAGE}:{tag},push=true"


def sidecar(name: str = "demo", **spec: Any) -> Manifest:
    """Return a builder of mode Sidecar that knows the cluster's registry."""
    return builder(name, mode="Sidecar", **spec)


def step(script: str, name: str = "job", image: str = pins.BUILDKIT_IMAGE, **more: Any) -> Manifest:
    """Return a container that runs a script in a directory with the workspace's files, which it may write."""
    prepare = "cd $(TMPDIR=/tmp mktemp -d); cp -L /workspace/* .; "
    mounts = [{"name": "workspace", "mountPath": "/workspace"}]
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", "-exc", prepare + script],
        "volumeMounts": [*mounts, *more.pop("volumeMounts", [])],
        **more,
    }


@dataclass(frozen=True)
class Runner:
    """A runner pod that asks for a builder."""

    kubectl: Kubectl
    name: str

    @classmethod
    def start(
        cls,
        kubectl: Kubectl,
        *containers: Manifest,
        asks_for: str = "demo",
        files: Mapping[str, str] | None = None,
        metadata: Manifest | None = None,
        **spec: Any,
    ) -> "Runner":
        """Start a pod with these containers; files are their workspace, by default one small Dockerfile."""
        name = f"runner-{uuid.uuid4().hex[:8]}"
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": {LABEL: asks_for}, **(metadata or {})},
            "spec": _pod_spec(name, containers, spec),
        }
        kubectl.apply(_workspace(name, files), pod)
        return cls(kubectl, name)

    @classmethod
    def start_job(cls, kubectl: Kubectl, *containers: Manifest, asks_for: str = "demo", **spec: Any) -> "Runner":
        """Start a Job of one pod with these containers, and return that pod."""
        name = f"job-{uuid.uuid4().hex[:8]}"
        template = {"metadata": {"labels": {LABEL: asks_for}}, "spec": _pod_spec(name, containers, spec)}
        kubectl.apply(
            _workspace(name, None),
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {"name": name},
                "spec": {"backoffLimit": 0, "template": template},
            },
        )
        (pod,) = wait_for(f"{name} has a pod", lambda: kubectl.get("pods", f"--selector={JOB_LABEL}={name}"))
        return cls(kubectl, pod["metadata"]["name"])

    def pod(self) -> Manifest:
        found: Manifest = self.kubectl.get("pod", self.name)
        return found

    def finish(self, seconds: float = 180) -> str:
        """Wait until the pod has ended and return its phase: Succeeded or Failed."""
        return wait_for(f"{self.name} ends", self._ended, seconds)

    def succeed(self, seconds: float = 180) -> None:
        """Wait until the pod has ended, well. The message of a failure is its status and all of its logs."""
        if self.finish(seconds) != "Succeeded":
            raise AssertionError(
                f"{self.pod()['status']}\n{self.kubectl('logs', self.name, '--all-containers', '--prefix')}"
            )

    def log(self, container: str = "job") -> str:
        return self.kubectl.logs(self.name, container)

    def daemon(self) -> Manifest:
        """Return what the kubelet says of the injected container."""
        statuses: list[Manifest] = self.pod()["status"].get("initContainerStatuses", [])
        return next((status for status in statuses if status["name"] == DAEMON), {})

    def wait_running(self, container: str = "job", seconds: float = 60) -> None:
        wait_for(f"{container} of {self.name} runs", lambda: "running" in self._state(container), seconds)

    def wait_log(self, text: str, container: str = "job", seconds: float = 120) -> None:
        """Wait until a container has printed a text, which it may have done and ended since."""
        wait_for(f"{container} of {self.name} has begun", lambda: self._begun(container), seconds)
        wait_for(f"{self.name} prints {text!r}", lambda: self._ended() or text in self.log(container), seconds)
        assert text in self.log(container)

    def delete(self) -> None:
        self.kubectl("delete", "pod", self.name, "--wait=false")

    def _begun(self, container: str) -> bool:
        return not {"running", "terminated"}.isdisjoint(self._state(container))

    def _state(self, container: str) -> Manifest:
        statuses = self.pod()["status"].get("containerStatuses", [])
        return next((status["state"] for status in statuses if status["name"] == container), {})

    def _ended(self) -> str | None:
        pod = self.pod()
        phase: str = pod["status"].get("phase", "Pending")
        return phase if phase in {"Succeeded", "Failed"} else None


def _workspace(name: str, files: Mapping[str, str] | None) -> Manifest:
    data = dict(files or {"Dockerfile": DOCKERFILE})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _pod_spec(workspace: str, containers: Sequence[Manifest], more: Manifest) -> Manifest:
    volumes = [{"name": "workspace", "configMap": {"name": workspace}}, *more.pop("volumes", [])]
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 5,
        "containers": list(containers),
        "volumes": volumes,
        **more,
    }
