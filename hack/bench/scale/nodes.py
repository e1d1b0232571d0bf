"""Nodes and pods that only say that they run: kwok, with the controllers and the scheduler of a cluster."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import yaml

from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import Manifest
from hack.bench.scale.api import Connection
from hack.cluster import artifacts
from hack.cluster.controlplane import ControlPlane, program
from hack.cluster.processes import Process

NODES: Final = 20
RESOURCES: Final = {"cpu": "1000", "memory": "4Ti", "pods": "10000", "ephemeral-storage": "100Ti"}
CONTROLLERS: Final = (
    *("deployment-controller", "replicaset-controller", "statefulset-controller"),
    "node-lifecycle-controller",  # the API server makes nodes that nothing is placed on until it has seen them
)
STAGES: Final = ("node/fast/node-*.yaml", "node/heartbeat-with-lease/node-*.yaml", "pod/fast/pod-*.yaml")
"""What kwok has nodes and pods become, in its own files: ready at once, and gone once they are deleted."""
LEASES: Final = "--node-lease-duration-seconds=40"
READY_SECONDS: Final = 60
REQUESTS_A_SECOND: Final = 500
"""What Kubernetes' own programs may ask for: with their defaults, 20 and 50, they would be what is measured."""


@contextmanager
def nodes(control_plane: ControlPlane) -> Iterator[None]:
    """Have nodes within the block, and what makes pods of workloads and places them."""
    with ExitStack() as stack, tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        api = Connection(control_plane)
        stack.callback(api.close)
        for number in range(NODES):
            api.ask("POST", "/api/v1/nodes", _node(number))
        for path, *flags in _programs(control_plane, folder):
            process = Process(Path(path), flags, folder / f"{Path(path).name}.log")
            stack.callback(process.kill)
            # That nodes are ready is kwok's doing, which is the first.
            process.wait_until(lambda: _are_ready(api), READY_SECONDS)
        yield


def _programs(control_plane: ControlPlane, folder: Path) -> Iterator[tuple[str, ...]]:
    """Yield each program with its flags."""
    kubeconfig = control_plane.kubeconfig
    scheduler = folder / "scheduler.yaml"
    scheduler.write_text(yaml.safe_dump(_scheduler(kubeconfig)))
    built = artifacts.ensure("kwok", "files:kwok")
    stages = [f"--config={file}" for pattern in STAGES for file in sorted(built["files:kwok"].glob(pattern))]
    yield str(built["kwok"] / "kwok"), f"--kubeconfig={kubeconfig}", "--manage-all-nodes", LEASES, *stages
    yield str(program("kube-scheduler")), f"--config={scheduler}", "--secure-port=0"
    yield (
        str(program("kube-controller-manager")),
        f"--kubeconfig={kubeconfig}",
        f"--controllers={','.join(CONTROLLERS)}",
        f"--kube-api-qps={REQUESTS_A_SECOND}",
        f"--kube-api-burst={REQUESTS_A_SECOND}",
        "--leader-elect=false",
        "--secure-port=0",
    )


def _scheduler(kubeconfig: Path) -> Manifest:
    return {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "leaderElection": {"leaderElect": False},
        "clientConnection": {"kubeconfig": str(kubeconfig), "qps": REQUESTS_A_SECOND, "burst": REQUESTS_A_SECOND},
    }


def _node(number: int) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"node-{number}", "labels": {"kubernetes.io/hostname": f"node-{number}"}},
        "status": {"capacity": RESOURCES, "allocatable": RESOURCES},
    }


def _are_ready(api: Connection) -> bool:
    found = api.ask("GET", "/api/v1/nodes")["items"]
    return len([node for node in found if condition(node, "Ready").get("status") == "True"]) == NODES
