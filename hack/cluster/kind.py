"""kind: a cluster of one node, made by its own command, and the wait until it can be relied on."""

import subprocess
from pathlib import Path
from typing import Any, Final

import yaml

from hack.cluster import artifacts, pins, progress, sandbox, tools
from hack.cluster.docker import Docker
from hack.cluster.problems import ClusterError
from hack.cluster.processes import dies_with_parent

# The one that this release of kind was made with (its pkg/apis/config/defaults/image.go).
UPSTREAM_IMAGE: Final = "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5"
# By images/node.sh.
LOCAL_IMAGE: Final = f"kindest-local/node:v{pins.KUBERNETES}"

# Of containerd's configuration, as kind's own patches write it.
_KEEP_OOM_SCORES: Final = """[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
"""
_CGROUPFS: Final = """[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
"""


class KindError(ClusterError):
    """The cluster could not be made; the message holds what kind said."""


def node(name: str) -> str:
    """Return the name of the cluster's node, which is also that of its container."""
    return f"{name}-control-plane"


def configuration(
    *, private: bool, port: int, may_lower_oom_score: bool = True, cgroup_v1: bool = False
) -> dict[str, Any]:
    """Return kind's configuration; `private` is for the private engine and the local image."""
    # kubelets refuse cgroup v1 unless told that it is known to go away.
    kubelet: dict[str, Any] = {"kind": "KubeletConfiguration", "failCgroupV1": False}
    if not private:
        return _cluster([kubelet], networking={"apiServerAddress": "127.0.0.1", "apiServerPort": port})
    containerd = []
    if not may_lower_oom_score:
        containerd.append(_KEEP_OOM_SCORES)
    if cgroup_v1:
        # With systemd's driver and cgroup v1, runc freezes a new container for a moment, gives up when the node is
        # busy ("unable to freeze"), and a pod that never restarts has failed: kubernetes/kubernetes#131087.
        kubelet["cgroupDriver"] = "cgroupfs"
        containerd.append(_CGROUPFS)
    networking = {
        "apiServerAddress": sandbox.GUEST,
        "apiServerPort": port,
        # The local image has a bridge for one node, and the only program that kube-proxy may call is nft.
        "disableDefaultCNI": True,
        "kubeProxyMode": "nftables",
        "podSubnet": "10.244.0.0/16",
    }
    kubeadm = {
        "kind": "ClusterConfiguration",
        # Clients come through the loopback of the machine.
        "apiServer": {"certSANs": ["localhost", "127.0.0.1", sandbox.GUEST]},
        "controllerManager": {
            "extraVolumes": [
                {
                    "name": "volumes",
                    "hostPath": "/var/volumes",
                    "mountPath": "/tmp/hostpath_pv",
                    "pathType": "Directory",
                }
            ]
        },
    }
    return _cluster([kubelet, kubeadm], networking, containerd)


def create(docker: Docker, name: str, image: str, configuration: dict[str, Any], kubeconfig: Path) -> None:
    """Make the cluster and write its kubeconfig. Raises KindError."""
    command = ["create", "cluster", f"--name={name}", f"--image={image}", f"--kubeconfig={kubeconfig}", "--config=-"]
    with progress.step(f"Creating the cluster {name}", f"Created the cluster {name}"):
        _kind(docker, name, *command, text=yaml.safe_dump(configuration))


def delete(docker: Docker, name: str) -> None:
    """Remove the cluster. Raises KindError."""
    _kind(docker, name, "delete", "cluster", f"--name={name}")


def _kind(docker: Docker, name: str, *arguments: str, text: str = "") -> None:
    program = artifacts.ensure("kind")["kind"] / "kind"
    environment = {**docker.environment(), "PATH": tools.search_path(name), "KIND_EXPERIMENTAL_PROVIDER": "docker"}
    command = dies_with_parent("KILL", [program, "--quiet", *arguments])
    done = subprocess.run(command, env=environment, input=text, text=True, capture_output=True, check=False)
    if done.returncode:
        raise KindError(f"kind {' '.join(arguments[:2])}: {done.stderr.strip()}")


def _cluster(
    kubeadm: list[dict[str, Any]], networking: dict[str, Any], containerd: list[str] | None = None
) -> dict[str, Any]:
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": networking,
        "kubeadmConfigPatches": [yaml.safe_dump(patch) for patch in kubeadm],
        "containerdConfigPatches": containerd or [],
        "nodes": [{"role": "control-plane"}],
    }
