"""Builders and CI jobs of the end-to-end tests: what a team would apply, and what its pods print."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import Manifest
from hack.cluster import pins
from hack.cluster.installation import REGISTRY
from hack.cluster.kubectl import Kubectl, wait_for

REGISTRIES: Final = [
    {"host": REGISTRY, "plainHTTP": True},
    # The registry of the cluster stands in for docker.io, which a test machine may not reach.
    {"host": "docker.io", "mirrors": [REGISTRY]},
]

DOCKERFILE: Final = f"""\
FROM {pins.BUSYBOX_IMAGE} AS made
ARG SALT
RUN echo "step one $SALT" && echo $((6 * 7)) > /answer
FROM {pins.BUSYBOX_IMAGE}
COPY --from=made /answer /answer
RUN cat /answer
"""

_GATE: Final = "gate"

BUILD: Final = "buildctl --addr $BUILDKIT_HOST --tlsdir /etc/buildkit build --progress plain --frontend dockerfile.v0 \
--local context=/workspace --local dockerfile=/workspace"
"""The command line of a build of the workspace through a shared builder, up to its output."""


REACHED: Final = """\
if [ -e /etc/buildkit/tls.key ]; then tls="--tlsdir /etc/buildkit"; fi
timeout 20 buildctl --wait --addr $BUILDKIT_HOST $tls debug info >/dev/null || true
"""
"""Waits until the node's Service proxy knows of a daemon, a moment after the builder is Ready. In vain for none."""


class JobError(Exception):
    """A job's pod failed; the message is its log."""


def builder(name: str = "demo", **spec: Any) -> Manifest:
    """Return a shared builder that knows the cluster's registry."""
    daemon = {"registries": REGISTRIES, **spec.pop("daemon", {})}
    return {
        "apiVersion": "buildkit-operator.dev/v1alpha1",
        "kind": "BuildKitBuilder",
        "metadata": {"name": name},
        "spec": {"mode": "Shared", "cache": {"size": "2Gi"}, "daemon": daemon, **spec},
    }


def gated(team: Kubectl) -> dict[str, str]:
    """Return a Dockerfile whose step prints that it has begun, and that it ended once `open_gate` has been called.

    The gate is a name in the cluster's DNS, which build steps can look up. What the step prints does not stand in its
    command, which BuildKit prints before the step runs.
    """
    lookup = f"nslookup -type=a {_GATE}.{team.namespace}.svc.cluster.local. >/dev/null"
    step = f"printf 'begun %s\\n' $SALT && until {lookup}; do sleep 0.3; done && printf 'ended %s\\n' $SALT"
    return {"Dockerfile": f"FROM {pins.BUSYBOX_IMAGE}\nARG SALT\nRUN {step}\n"}


def open_gate(team: Kubectl) -> None:
    """Let the builds of `gated` files in this namespace go on to their end."""
    port = {"port": 1}
    team.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": _GATE}, "spec": {"ports": [port]}})


def wait_ready(kubectl: Kubectl, name: str = "demo", seconds: float = 90) -> Manifest:
    """Wait until a builder is ready for its newest spec, all changes done, and return it."""

    def settled() -> Manifest | None:
        found: Manifest = kubectl.get("bkb", name)
        current = found.get("status", {}).get("observedGeneration") == found["metadata"]["generation"]
        done = condition(found, "Ready").get("status") == "True" and not condition(found, "Reconciling")
        return found if current and done else None

    try:
        return wait_for(f"builder {name} is ready", settled, seconds)
    except TimeoutError as error:
        said = condition(kubectl.get("bkb", name), "Ready").get("message")
        raise TimeoutError(f"{error}; it says: {said}") from None


def wait_reason(kubectl: Kubectl, reason: str, name: str = "demo", seconds: float = 60) -> Manifest:
    """Wait until a builder's Ready condition has this reason, and return the condition."""

    def seen() -> Manifest | None:
        ready = condition(kubectl.get("bkb", name), "Ready")
        return ready if ready.get("reason") == reason else None

    return wait_for(f"builder {name} says {reason}", seen, seconds)


@dataclass(frozen=True)
class Job:
    """A CI job: one pod with buildctl, a workspace and a builder's connection Secret."""

    kubectl: Kubectl
    name: str

    @classmethod
    def start(
        cls,
        kubectl: Kubectl,
        script: str,
        *,
        files: Mapping[str, str] | None = None,
        connection: str | None = "demo-connection",
        claim: str | None = None,
    ) -> "Job":
        """Start a job that runs a script with /workspace as its directory."""
        name = f"job-{uuid.uuid4().hex[:8]}"
        kubectl.apply(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": name},
                "data": dict(files or {"Dockerfile": DOCKERFILE}),
            },
            _pod(name, script, connection, claim),
        )
        return cls(kubectl, name)

    def finish(self, seconds: float = 180) -> str:
        """Wait until the job has ended and return its log. Raises JobError."""
        phase = wait_for(f"{self.name} ends", self._ended, seconds)
        if phase == "Failed":
            raise JobError(self._failure())
        return self.log()

    def wait_log(self, text: str, seconds: float = 120) -> None:
        """Wait until the job has printed a text."""
        wait_for(f"{self.name} prints {text!r}", lambda: self._ended() == "Failed" or text in self.log(), seconds)
        if text not in self.log():
            raise JobError(self._failure())

    def log(self) -> str:
        """Return what the job has printed so far."""
        waiting = self.kubectl.get("pod", self.name)["status"].get("containerStatuses", [{}])[0].get("state", {})
        return "" if "running" not in waiting and "terminated" not in waiting else self.kubectl.logs(self.name, "job")

    def _failure(self) -> str:
        """Return what the job printed, or what the kubelet says of one that printed nothing."""
        return self.log() or str(self.kubectl.get("pod", self.name)["status"])

    def _ended(self) -> str | None:
        pod = self.kubectl.get("pod", self.name)
        phase: str = pod["status"].get("phase", "Pending")
        return phase if phase in {"Succeeded", "Failed"} else None


def _pod(name: str, script: str, connection: str | None, claim: str | None) -> Manifest:
    volumes: list[Manifest] = [{"name": "workspace", "configMap": {"name": name}}]
    mounts: list[Manifest] = [{"name": "workspace", "mountPath": "/workspace"}]
    env: list[Manifest] = [{"name": "REGISTRY", "value": REGISTRY}]
    if connection is not None:
        volumes.append({"name": "connection", "secret": {"secretName": connection}})
        mounts.append({"name": "connection", "mountPath": "/etc/buildkit"})
        source = {"secretKeyRef": {"name": connection, "key": "BUILDKIT_HOST"}}
        env.append({"name": "BUILDKIT_HOST", "valueFrom": source})
        script = f"{REACHED}{script}"
    if claim is not None:
        volumes.append({"name": "cache", "persistentVolumeClaim": {"claimName": claim}})
        mounts.append({"name": "cache", "mountPath": "/mnt/buildkit-cache"})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "job",
                    "image": pins.BUILDKIT_IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["/bin/sh", "-exc", script],
                    "workingDir": "/workspace",
                    "env": env,
                    "volumeMounts": mounts,
                }
            ],
            "volumes": volumes,
        },
    }


def run(kubectl: Kubectl, script: str, **options: Any) -> str:
    """Run a job to its end and return its log. Raises JobError."""
    return Job.start(kubectl, script, **options).finish()


def ran(log: str, salt: str) -> bool:
    """Tell whether the salted step of the Dockerfile was run; plain progress shows what a step prints with its time."""
    return re.search(rf"^#\d+ [\d.]+ step one {salt}$", log, re.MULTILINE) is not None
