"""`make install`: the operator of this checkout in the cluster of the current context, by one command.

A cluster of this machine (kind, k3d, minikube) gets the image built and loaded; any other one pulls what $IMAGE names.
Nothing happens before the user says yes, or YES=1 does, unless the cluster is that of `make cluster-up`. Run again, it
changes what is different.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import yaml

from buildkit_operator.api import versions
from hack.cluster import current
from hack.cluster.current import Context
from hack.cluster.installation import OPERATOR, images_by_tag
from hack.cluster.kubectl import Kubectl, KubectlError
from hack.cluster.problems import ClusterError
from hack.cluster.progress import say, step
from hack.cluster.recipes import RecipeError
from hack.cluster.toolchain import MissingError
from hack.install import image, manifests, rollout

_ONLY_SOME: Final = "BUILDKIT_OPERATOR_WATCH_NAMESPACES"

DONE: Final = """\
The operator runs in namespace {namespace} of context "{context}", with image {image}; {engine}.

Next, a builder, in a namespace whose Pod Security level is privileged:
  {kubectl} apply -f deploy/samples/sidecar.yaml
"""


def main() -> int:
    """Install it; what went wrong is a sentence on standard error and the status 1."""
    try:
        install()
    except (ClusterError, RecipeError, MissingError, KubectlError) as problem:
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; make install begins where this has ended.", file=sys.stderr)
        return 130
    return 0


def install() -> None:
    """Do it, and say what to type next. Raises ClusterError, RecipeError, MissingError or KubectlError."""
    context = current.context()
    planned = image.plan(context)
    with _kubectl(context) as kubectl:
        _refuse_unsupported(kubectl, context)
        _refuse_other_installations(kubectl)
        if planned.needs_consent:
            current.confirm(context, planned.what)
        else:
            say(f'{planned.what} the cluster of context "{context.name}" ({context.server}).')
        name = planned.provide()
        engines = manifests.engines(kubectl)
        by_tag = images_by_tag() if planned.cluster is not None and planned.cluster.private else []
        objects = manifests.render(kubectl, name, engines, by_tag)
        with step("Installing the operator", "The operator runs"):
            _apply(kubectl, objects)
            rollout.wait(kubectl, manifests.deployments(objects), name)
    print(
        DONE.format(
            namespace=OPERATOR,
            context=context.name,
            image=name,
            engine=manifests.ENGINES[engines[0]],
            kubectl="kubectl" if shutil.which("kubectl") else kubectl.program,
        ),
        end="",
    )


@contextmanager
def _kubectl(context: Context) -> Iterator[Kubectl]:
    """Yield kubectl for the context as it was found: who changes it meanwhile does not change where this installs."""
    with tempfile.TemporaryDirectory() as folder:
        kubeconfig = Path(folder) / "kubeconfig"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(context.kubeconfig)
        yield Kubectl(current.kubectl(), kubeconfig)


def _refuse_unsupported(kubectl: Kubectl, context: Context) -> None:
    try:
        said = json.loads(kubectl("version", "--output=json", timeout=30))
    except subprocess.TimeoutExpired as late:
        raise ClusterError(f'The cluster of context "{context.name}" ({context.server}) does not answer.') from late
    server = said["serverVersion"]
    # Some providers write a plus behind the number.
    found = versions.Version(int(server["major"]), int(server["minor"].rstrip("+")))
    if found < versions.OLDEST_KUBERNETES:
        raise ClusterError(
            f'The cluster of context "{context.name}" is Kubernetes {found}; the operator needs '
            f"{versions.OLDEST_KUBERNETES} or newer. Nothing was done."
        )


def _refuse_other_installations(kubectl: Kubectl) -> None:
    """Raise ClusterError where Helm has installed the operator, or somebody for some namespaces alone."""
    selector = f"--selector=app.kubernetes.io/name={OPERATOR}"
    for found in json.loads(kubectl("get", "deployments", "--all-namespaces", selector, "--output=json"))["items"]:
        namespace, labels = found["metadata"]["namespace"], found["metadata"]["labels"]
        if labels.get("app.kubernetes.io/managed-by") == "Helm":
            release = labels.get("app.kubernetes.io/instance", OPERATOR)
            raise ClusterError(
                f"The operator is there as Helm release {release} in namespace {namespace}; upgrade that: helm upgrade "
                f"{release} deploy/helm/buildkit-operator -n {namespace} --reset-then-reuse-values. Nothing was done."
            )
        containers = found["spec"]["template"]["spec"]["containers"]
        names = {variable["name"] for container in containers for variable in container.get("env", [])}
        if namespace == OPERATOR and _ONLY_SOME in names:
            raise ClusterError(
                f"The operator in namespace {namespace} is installed for some namespaces alone, and make install is "
                "for the whole cluster. Apply the kustomization that it came from. Nothing was done."
            )


def _apply(kubectl: Kubectl, objects: Sequence[object]) -> None:
    kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", text=yaml.safe_dump_all(objects))


if __name__ == "__main__":
    sys.exit(main())
