"""The readiness check of a cluster: its node, its DNS, its storage class, and the registry in it."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hack.cluster import artifacts, progress
from hack.cluster.problems import ClusterError

REGISTRY: Final = Path(__file__).with_name("registry.yaml")
_SECONDS: Final = 120
_ANSWER_SECONDS: Final = 20


def answers(kubeconfig: Path) -> bool:
    """Tell whether the API server says that it is ready; a busy machine gets some time to let it answer."""
    deadline = time.monotonic() + _ANSWER_SECONDS
    while kubeconfig.exists():
        if _kubectl(kubeconfig, "get", "--raw=/readyz", "--request-timeout=5s").returncode == 0:
            return True
        if time.monotonic() > deadline:
            break
        time.sleep(0.5)
    return False


def wait(kubeconfig: Path) -> None:
    """Install the registry; wait until it runs and a pod can look up a Service. Raises ClusterError."""
    with progress.step("Waiting for node, DNS and registry", "Node, DNS and registry are ready"):
        _must(kubeconfig, "apply", "--server-side", "--force-conflicts", f"--filename={REGISTRY}")
        _must(kubeconfig, "wait", "--for=condition=Ready", "node", "--all", f"--timeout={_SECONDS}s")
        for namespace, deployment in (("kube-system", "coredns"), ("registry", "registry")):
            available = ("wait", "--for=condition=Available", f"deployment/{deployment}", f"--timeout={_SECONDS}s")
            _must(kubeconfig, f"--namespace={namespace}", *available)
        # A DNS server that is ready is not DNS: the way there is kube-proxy's.
        in_pod = ("exec", "--namespace=registry", "deployment/registry", "--")
        lookup = (*in_pod, "getent", "hosts", "kubernetes.default.svc")
        _until(lambda: _kubectl(kubeconfig, *lookup).returncode == 0, "a pod cannot look up kubernetes.default.svc")
        _must(kubeconfig, "get", "storageclass", "standard")


def _until(done: Callable[[], bool], problem: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while not done():
        if time.monotonic() > deadline:
            raise ClusterError(f"After {_SECONDS} seconds {problem}.")
        time.sleep(0.5)


def _must(kubeconfig: Path, *arguments: str) -> None:
    done = _kubectl(kubeconfig, *arguments)
    if done.returncode:
        raise ClusterError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")


def _kubectl(kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = artifacts.ensure("kube")["kube"] / "kubectl"
    command: list[str | Path] = [program, f"--kubeconfig={kubeconfig}", *arguments]
    return subprocess.run(command, text=True, capture_output=True, check=False)
