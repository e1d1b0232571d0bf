"""The command line of the test cluster: up, down, status, load."""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Never

from hack.cluster import cluster, current, toolchain
from hack.cluster.problems import ClusterError
from hack.cluster.recipes import RecipeError


def main() -> int:
    """Run one command; what went wrong is a sentence on standard error and the status 1."""
    parser = argparse.ArgumentParser(prog="python -m hack.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="bring it up; nothing to do when it is (CLUSTER=current: that of your kubeconfig)")
    commands.add_parser("down", help="take it down without a trace")
    commands.add_parser("status", help="say what runs")
    load = commands.add_parser("load", help="bring images of the cluster's Docker engine into it")
    load.add_argument("images", nargs="+", metavar="IMAGE", help="a name; the operator's image is built first")
    chosen = parser.parse_args()
    # Like Ctrl-C, so that half of a cluster is cleared also when a terminal is closed or a CI job cancelled.
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, _interrupt)
    try:
        if chosen.command == "up":
            up = cluster.up()
            print(f"export KUBECONFIG={up.kubeconfig} PATH={up.bin}:$PATH")
        elif chosen.command == "down":
            print(_gone(was_there=cluster.down()))
        elif chosen.command == "status":
            return _status()
        else:
            cluster.up().load(*chosen.images)
    except (ClusterError, RecipeError, toolchain.MissingError) as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr, flush=True)
        # Builds in other threads end with this process; a return would wait for them.
        os._exit(130)
    return 0


def _gone(*, was_there: bool) -> str:
    if current.chosen():
        return "The registry is gone from your cluster." if was_there else "Nothing was installed in your cluster."
    return "The cluster is gone." if was_there else "There was no cluster."


def _status() -> int:
    up = cluster.find()
    if up is None:
        print("There is no cluster. `make cluster-up` makes one.")
        return 1
    kubectl: list[str | Path] = [up.bin / "kubectl", f"--kubeconfig={up.kubeconfig}"]
    print(f"export KUBECONFIG={up.kubeconfig} PATH={up.bin}:$PATH", flush=True)
    nodes = subprocess.run([*kubectl, "get", "nodes", "--output=wide"], check=False)
    pods = subprocess.run([*kubectl, "get", "pods", "--all-namespaces"], check=False)
    return nodes.returncode or pods.returncode


def _interrupt(_signal: int, _frame: object) -> Never:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
