"""What is read without a kubectl process is what kubectl would print."""

import json
from collections.abc import Callable

import pytest

from hack.cluster.controlplane import ControlPlane, program
from hack.cluster.kubectl import Kubectl, KubectlError


def config_map(name: str, **labels: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}}


@pytest.fixture
def kubectl(control_plane: ControlPlane, namespace: str) -> Kubectl:
    kubectl = Kubectl(program("kubectl"), control_plane.kubeconfig, namespace)
    kubectl.apply(config_map("one", team="a"), config_map("two", team="b"))
    return kubectl


@pytest.mark.parametrize(
    "what",
    [
        ("configmap", "one"),
        ("cm", "two"),
        ("configmaps",),
        ("configmaps", "--selector=team=b"),
        ("configmaps", "--selector=team in (a,b),team!=a"),
        ("events", "--field-selector=reason=Nothing"),
        ("namespaces", "default"),
        ("mutatingwebhookconfigurations.admissionregistration.k8s.io",),
        ("cm", "--selector=team=none"),
    ],
)
def test_an_answer_is_that_of_kubectl(kubectl: Kubectl, what: tuple[str, ...]) -> None:
    said = json.loads(kubectl("get", *what, "--output=json"))

    assert kubectl.get(*what) == (said["items"] if said["kind"] == "List" else said)


def test_a_refusal_is_that_of_kubectl(kubectl: Kubectl) -> None:
    for what in (("configmap", "absent"), ("fairies",)):
        with pytest.raises(KubectlError) as by_kubectl:
            kubectl("get", *what, "--output=json")
        with pytest.raises(KubectlError) as read:
            kubectl.get(*what)
        assert str(read.value).removeprefix(f"kubectl get {' '.join(what)}: ") in str(by_kubectl.value)


def test_what_is_absent_is_found_to_be(kubectl: Kubectl) -> None:
    assert kubectl.find("configmap", "absent") is None
    assert kubectl.find("configmap", "one")["metadata"]["labels"] == {"team": "a"}


def test_a_kind_is_known_as_soon_as_its_crd_is(start_control_plane: Callable[[], ControlPlane]) -> None:
    own = start_control_plane()
    kubectl = Kubectl(program("kubectl"), own.kubeconfig, "default")
    assert kubectl.get("configmaps") == []

    assert kubectl.get("bkb") == []


def test_a_path_is_read_as_with_raw(kubectl: Kubectl) -> None:
    assert kubectl.read("/readyz") == kubectl("get", "--raw=/readyz")
    with pytest.raises(KubectlError, match="NotFound"):
        kubectl.read("/api/v1/namespaces/absent")
