"""`make run`: the operator of this checkout, as a process of this machine, serves the cluster of the current context.

It applies the CRD first. Nothing happens to a cluster that is not on this machine before its user says yes.
"""

import ipaddress
import os
import subprocess
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from buildkit_operator.api import versions
from hack.cluster import current
from hack.cluster.kubectl import wait_for
from hack.cluster.problems import ClusterError

TOP: Final = Path(__file__).parents[1]
SERVED: Final = "/apis/buildkit-operator.dev/v1alpha1/buildkitbuilders?limit=1"
OPERATOR: Final = ("-m", "buildkit_operator", "operator")
SETTINGS: Final = {"BUILDKIT_OPERATOR_LEASE": "false", "BUILDKIT_OPERATOR_LOG_FORMAT": "text"}
"""Without leader election: there is no namespace of the operator in which its Lease could be."""

TOLD: Final = """\
Context {name} ({server}): the CRD is applied, and the operator of this checkout serves it until Ctrl-C.

  kubectl apply -f deploy/samples/shared.yaml     # something to serve; its daemons need nodes
  kubectl apply -k deploy/kustomize/components/policies
                                                  # before runner pods get a builder: an engine, here the policies
                                                  # (Kubernetes {policies} or newer)
  kubectl delete --ignore-not-found -k deploy/kustomize/components/policies
  kubectl delete -f crds                          # undoes it all: every builder goes too, and what belongs to it

An operator that was installed in this cluster should be scaled to zero meanwhile.
"""


def is_local(server: str) -> bool:
    """Tell whether an API server's address is of this machine, as those of kind and of its like are."""
    host = urlsplit(server).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def apply_crd() -> None:
    """Apply the CRD and wait until it is served. Raises ClusterError with kubectl's words."""
    kubectl = str(current.kubectl())
    applied = subprocess.run(
        [kubectl, "apply", "--server-side", f"--filename={TOP / 'crds'}"], text=True, capture_output=True, check=False
    )
    if applied.returncode:
        raise ClusterError(f"The CRD cannot be applied: {applied.stderr.strip()}")
    asked = [kubectl, "get", f"--raw={SERVED}"]
    wait_for("the CRD to be served", lambda: not subprocess.run(asked, capture_output=True, check=False).returncode)


def main() -> None:
    """Become the operator, whose exit status is this program's then; end with 1 where the cluster cannot be had."""
    try:
        context = current.context()
        if not is_local(context.server):
            current.confirm(context, "Applying the CRD to, and running the operator of this checkout against,")
        apply_crd()
    except (ClusterError, TimeoutError) as problem:
        sys.exit(str(problem))
    print(TOLD.format(name=context.name, server=context.server, policies=versions.POLICIES), flush=True)
    os.execve(sys.executable, [sys.executable, *OPERATOR], {**SETTINGS, **os.environ})


if __name__ == "__main__":
    main()
