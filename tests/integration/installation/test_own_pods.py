"""The operator's token creates pods as dry runs alone, whichever way it is installed; everybody else is left alone."""

from collections.abc import Iterator

import pytest

from hack.cluster.controlplane import ControlPlane, program
from hack.cluster.kubectl import Kubectl, KubectlError, wait_for
from tests.integration.conftest import CRDS
from tests.integration.installation.conftest import NAMESPACE, WATCHED, Compose, create_namespaces, install

POD = """
apiVersion: v1
kind: Pod
metadata: {generateName: stolen-}
spec:
  automountServiceAccountToken: false
  containers: [{name: any, image: any}]
"""


@pytest.fixture(scope="module", params=["cluster-wide", "namespaced"])
def installed_operator(request: pytest.FixtureRequest, compose: Compose) -> Iterator[ControlPlane]:
    """Start an API server with the operator, without an engine."""
    with ControlPlane() as control_plane:
        control_plane.apply_crds(CRDS)
        create_namespaces(control_plane)
        install(control_plane, compose(watched=WATCHED if request.param == "namespaced" else ()))
        yield control_plane


@pytest.fixture(scope="module")
def operator(installed_operator: ControlPlane) -> Kubectl:
    """Return kubectl with the operator's token, once the policy is in force."""
    kubeconfig = installed_operator.service_account_kubeconfig(NAMESPACE, "buildkit-operator")
    kubectl = Kubectl(program("kubectl"), kubeconfig).within(WATCHED[0])
    wait_for("the policy is in force", lambda: refusal(kubectl), 30)
    return kubectl


def refusal(kubectl: Kubectl) -> str:
    """Try to create a pod that is kept, and return what is said."""
    try:
        kubectl("create", "--filename=-", text=POD)
    except KubectlError as error:
        return str(error)
    return ""


def test_a_dry_run_is_allowed(operator: Kubectl) -> None:
    assert "created (server dry run)" in operator("create", "--dry-run=server", "--filename=-", text=POD)


def test_a_pod_that_would_be_kept_is_refused_with_a_sentence(operator: Kubectl) -> None:
    assert (
        "ValidatingAdmissionPolicy 'buildkit-operator-probe' with binding 'buildkit-operator-probe' denied request: "
        "The operator's ServiceAccount may create pods as dry runs alone, to see whether a pod would get its builder; "
        "this one was to be kept."
    ) in refusal(operator)


@pytest.mark.parametrize("where", [NAMESPACE, "kube-system"])
def test_nor_anywhere_else(operator: Kubectl, where: str) -> None:
    with pytest.raises(KubectlError, match=r"[Ff]orbidden"):
        operator.within(where)("create", "--filename=-", text=POD)


@pytest.mark.usefixtures("operator")
def test_others_create_their_pods(installed_operator: ControlPlane) -> None:
    said = installed_operator.kubectl(f"--namespace={WATCHED[1]}", "create", "--filename=-", text=POD)

    assert "created" in said
