"""CLUSTER=current: the cluster of the user's kubeconfig, in which nothing is installed before they say yes."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from hack.cluster import artifacts, tools
from hack.cluster.problems import ClusterError

# Names the folder beside those of our own clusters.
NAME: Final = "current"
# What tells our registry from one that was there before (its namespace has it: registry.yaml).
_OURS: Final = "app.kubernetes.io/part-of=buildkit-operator-tests"


@dataclass(frozen=True)
class Context:
    """The user's current context: its name, its server, and a kubeconfig of it alone."""

    name: str
    server: str
    kubeconfig: str


def chosen() -> bool:
    """Tell whether $CLUSTER asks for the cluster of the kubeconfig. Raises ClusterError for what it cannot mean."""
    value = os.environ.get("CLUSTER", "")
    if value not in {"", "kind", "current"}:
        raise ClusterError(f'CLUSTER="{value}" must be "kind" (a cluster of its own, the default) or "current".')
    return value == "current"


def kubeconfig() -> Path:
    """Return where the copy of the user's current context is while its cluster is used."""
    return tools.folder(NAME) / "kubeconfig"


def kubectl() -> Path:
    """Return the user's kubectl, or one from the cache."""
    found = shutil.which("kubectl")
    return Path(found) if found else artifacts.ensure("kube")["kube"] / "kubectl"


def context() -> Context:
    """Return the current context. Raises ClusterError where there is none."""
    command = [str(kubectl()), "config", "view", "--minify", "--flatten", "--raw"]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode:
        raise ClusterError(
            f"Your kubeconfig has no current context that can be used ({done.stderr.strip()}). "
            "kubectl config use-context chooses one; make cluster-up makes a cluster and prints its KUBECONFIG."
        )
    config = yaml.safe_load(done.stdout)
    return Context(config["current-context"], config["clusters"][0]["cluster"]["server"], done.stdout)


def confirm(found: Context, what: str) -> None:
    """Ask before anything happens to the cluster. Raises ClusterError unless the answer is yes."""
    where = f'the cluster of context "{found.name}" ({found.server})'
    if os.environ.get("YES") == "1":
        return
    if not sys.stdin.isatty():
        raise ClusterError(f"{what} {where} needs your consent: answer on a terminal, or set YES=1. Nothing was done.")
    if input(f"{what} {where}? [y/N] ").strip().lower() not in {"y", "yes"}:
        raise ClusterError("Nothing was done.")


def up(registry: Path) -> None:
    """Write the context's kubeconfig and install the registry, once the user has agreed. Raises ClusterError."""
    found = context()
    if not kubeconfig().exists() or kubeconfig().read_text() != found.kubeconfig:
        confirm(found, "Installing the operator and a registry into")
    tools.write(NAME, found.kubeconfig)
    foreign = _call("get", "namespace", "registry", "--ignore-not-found", "--output=name")
    if foreign and not _call("get", "namespace", f"--selector={_OURS}", "--output=name"):
        tools.remove(NAME)
        raise ClusterError(f'The cluster of context "{found.name}" has a namespace "registry" of its own.')
    _call("apply", "--server-side", f"--filename={registry}")
    _call("--namespace=registry", "rollout", "status", "deployment/registry", "--timeout=180s")


def down() -> bool:
    """Remove the registry from the cluster that `up` was told to use; tell whether there was one."""
    if not kubeconfig().exists():
        return False
    _call("delete", "namespace", f"--selector={_OURS}", "--wait", "--timeout=120s")
    tools.remove(NAME)
    return True


def _call(*arguments: str) -> str:
    done = subprocess.run(
        [str(kubectl()), f"--kubeconfig={kubeconfig()}", *arguments], text=True, capture_output=True, check=False
    )
    if done.returncode:
        raise ClusterError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()
