"""The ways in which a job gets something to build with, as pods: ours, those that people write by hand, and none."""

from dataclasses import dataclass, field
from typing import Any, Final

from buildkit_operator.kube.resources import Manifest
from hack.cluster import pins

BUILDER: Final = "bench"
JOB: Final = "job"
DAEMON: Final = "daemon"
STARTED: Final = "started"
ANSWERED: Final = "answered"
"""The first and the last that a job prints: at its start, and when what it builds with has answered a question."""

_SOCKETS: Final = {"name": "sockets", "mountPath": "/run/sockets"}
_BUILDKIT_SOCKET: Final = "unix:///run/sockets/buildkitd.sock"
_DOCKER_SOCKET: Final = "/run/sockets/docker.sock"
_DOCKER_HOST: Final = [{"name": "DOCKER_HOST", "value": f"unix://{_DOCKER_SOCKET}"}]
# As ours: the socket is there before anybody serves it, and then one question is enough.
_UNTIL_DOCKER_ANSWERS: Final = (
    f"until [ -S {_DOCKER_SOCKET} ]; do sleep 0.02; done; until docker version >/dev/null 2>&1; do sleep 0.1; done"
)
_ASK_BUILDKIT: Final = "buildctl debug workers >/dev/null"


def _job(then: str, before: str = "true", image: str = pins.BUILDKIT_IMAGE, **more: Any) -> Manifest:
    script = f"set -e; {before}; echo {STARTED}; {then}; echo {ANSWERED}"
    return {"name": JOB, "image": image, "command": ["/bin/sh", "-c", script], **more}


def _buildkit(**more: Any) -> Manifest:
    """Return a rootless daemon as BuildKit's own examples for Kubernetes have it, with its socket in a volume."""
    unconfined = {"type": "Unconfined"}
    return {
        "name": DAEMON,
        "image": pins.BUILDKIT_IMAGE,
        "args": ["--addr", _BUILDKIT_SOCKET, "--oci-worker-no-process-sandbox"],
        "env": [{"name": "BUILDKIT_HOST", "value": _BUILDKIT_SOCKET}],
        "securityContext": {
            "runAsUser": 1000,
            "runAsGroup": 1000,
            "seccompProfile": unconfined,
            "appArmorProfile": unconfined,
        },
        "volumeMounts": [_SOCKETS, {"name": "state", "mountPath": "/home/user/.local/share/buildkit"}],
        **more,
    }


_BUILDKIT_JOB: Final[Manifest] = {
    "env": [{"name": "BUILDKIT_HOST", "value": _BUILDKIT_SOCKET}],
    "volumeMounts": [_SOCKETS],
}
_ASK: Final = {"exec": {"command": ["buildctl", "debug", "workers"]}}
_VOLUMES: Final = [{"name": "sockets", "emptyDir": {}}, {"name": "state", "emptyDir": {}}]


@dataclass(frozen=True, eq=False)
class Way:
    """A pod, in which a job starts that can use its builder from its first command on."""

    what: str
    job: Manifest
    sidecar: Manifest | None = None
    """A native one (KEP-753)."""
    beside: tuple[Manifest, ...] = ()
    volumes: list[Manifest] = field(default_factory=list)
    labels: Manifest = field(default_factory=dict)

    def pod(self, namespace: str, name: str) -> Manifest:
        """Return the pod under this name."""
        sidecars = [{"restartPolicy": "Always", **self.sidecar}] if self.sidecar else []
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": self.labels},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 5,
                "initContainers": sidecars,
                "containers": [self.job, *self.beside],
                "volumes": self.volumes,
            },
        }


BARE: Final = Way("a pod without a builder", _job("true"))

OURS: Final = Way("ours, by the label", _job(_ASK_BUILDKIT), labels={"buildkit-operator.dev/builder": BUILDER})

IDLE: Final = Way(
    "a native sidecar that does nothing: the floor",
    _job("true"),
    sidecar={
        "name": "idle",
        "image": pins.BUILDKIT_IMAGE,
        "command": ["/bin/sh", "-c", "trap exit TERM; sleep infinity & wait"],
    },
)

DIND: Final = Way(
    "privileged docker:dind as a native sidecar, gated like ours",
    _job(
        "docker version --format '{{.Server.Version}}'",
        image=pins.DOCKER_IMAGE,
        env=_DOCKER_HOST,
        volumeMounts=[_SOCKETS],
    ),
    sidecar={
        "name": DAEMON,
        "image": pins.DIND_IMAGE,
        "args": ["dockerd", f"--host=unix://{_DOCKER_SOCKET}"],
        "env": _DOCKER_HOST,
        "securityContext": {"privileged": True},
        "lifecycle": {"postStart": {"exec": {"command": ["/bin/sh", "-c", _UNTIL_DOCKER_ANSWERS]}}},
        "volumeMounts": [_SOCKETS, {"name": "state", "mountPath": "/var/lib/docker"}],
    },
    volumes=_VOLUMES,
)

STARTUP_PROBE: Final = Way(
    "by hand: a native sidecar with a startupProbe every second",
    _job(_ASK_BUILDKIT, **_BUILDKIT_JOB),
    sidecar=_buildkit(startupProbe={**_ASK, "periodSeconds": 1, "failureThreshold": 60}),
    volumes=_VOLUMES,
)

ASKING_JOB: Final = Way(
    "by hand: a second container that the job asks every second",
    _job("true", before=f"until {_ASK_BUILDKIT} 2>&1; do sleep 1; done", **_BUILDKIT_JOB),
    beside=(_buildkit(),),
    volumes=_VOLUMES,
)

READINESS_PROBE: Final = Way(
    "by hand: a second container, ready by a readinessProbe of 5 s/30 s",
    _job("sleep 600", **_BUILDKIT_JOB),
    beside=(_buildkit(readinessProbe={**_ASK, "initialDelaySeconds": 5, "periodSeconds": 30}),),
    volumes=_VOLUMES,
)
"""Its job may begin when the pod is ready, which the kubelet knows and no container of the pod."""

IN_TURN: Final = (BARE, IDLE, OURS, DIND, STARTUP_PROBE, ASKING_JOB)
