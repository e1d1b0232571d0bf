"""The labels by which a Service finds its daemons: the operator gives them, Kubernetes' controllers pass them on."""

import json
import urllib.error
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from buildkit_operator.kube.resources import Manifest
from hack.cluster.controlplane import ControlPlane
from hack.cluster.kubectl import wait_for
from tests.integration.conftest import CRDS
from tests.integration.installation.conftest import NAMESPACE, WATCHED, Compose, create_namespaces, install

TEAM: Final = WATCHED[0]
LABELS: Final = {"buildkit-operator.dev/owner": "demo", "app.kubernetes.io/name": "buildkitd", "app": "mine"}
EDITOR: Final = "editor"
REPLICA_SETS: Final = "system:serviceaccount:kube-system:replicaset-controller"
REFUSED: Final = "so the operator alone may make such pods. Take one of the two labels off this pod or pod template."


def template(labels: dict[str, str], restart: str = "Always") -> Manifest:
    container = {"name": "any", "image": "any"}
    return {"metadata": {"labels": labels}, "spec": {"containers": [container], "restartPolicy": restart}}


def pod(labels: dict[str, str]) -> Manifest:
    made = template(labels)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "mine", **made["metadata"]}, "spec": made["spec"]}


def workload(kind: str, labels: dict[str, str], **spec: Any) -> Manifest:
    selector = {"selector": {"matchLabels": {"app": "mine"}}, "template": template(labels)}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "mine"}, "spec": {**selector, **spec}}


def job(labels: dict[str, str]) -> Manifest:
    spec = {"template": template(labels, "Never")}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "mine"}, "spec": spec}


def cron_job(labels: dict[str, str]) -> Manifest:
    spec = {"schedule": "@daily", "jobTemplate": {"spec": job(labels)["spec"]}}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "mine"}, "spec": spec}


def replication_controller(labels: dict[str, str]) -> Manifest:
    spec = {"selector": {"app": "mine"}, "template": template(labels)}
    return {"apiVersion": "v1", "kind": "ReplicationController", "metadata": {"name": "mine"}, "spec": spec}


MAKERS: Final[dict[str, tuple[str, Callable[[dict[str, str]], Manifest]]]] = {
    "Pod": ("api/v1", pod),
    "ReplicationController": ("api/v1", replication_controller),
    "Deployment": ("apis/apps/v1", lambda labels: workload("Deployment", labels)),
    "ReplicaSet": ("apis/apps/v1", lambda labels: workload("ReplicaSet", labels)),
    "DaemonSet": ("apis/apps/v1", lambda labels: workload("DaemonSet", labels)),
    "StatefulSet": ("apis/apps/v1", lambda labels: workload("StatefulSet", labels, serviceName="any")),
    "Job": ("apis/batch/v1", job),
    "CronJob": ("apis/batch/v1", cron_job),
}


@pytest.fixture(scope="module", params=["cluster-wide", "namespaced"])
def installed_operator(request: pytest.FixtureRequest, compose: Compose) -> Iterator[ControlPlane]:
    """Start an API server with the operator, and a user with the role edit."""
    with ControlPlane(controllers=("clusterrole-aggregation-controller",)) as control_plane:
        control_plane.apply_crds(CRDS)
        create_namespaces(control_plane)
        install(control_plane, compose(watched=WATCHED if request.param == "namespaced" else ()))
        bind = ("create", "rolebinding", EDITOR, "--clusterrole=edit", f"--user={EDITOR}")
        control_plane.kubectl(f"--namespace={TEAM}", *bind)
        wait_for("the policy is in force", lambda: refusal(control_plane, EDITOR, "Pod", LABELS), 30)
        yield control_plane


def path(kind: str, name: str = "") -> str:
    """Return the path of a kind in the team's namespace, or of one object."""
    root, _ = MAKERS[kind]
    return f"/{root}/namespaces/{TEAM}/{kind.lower()}s{name and f'/{name}'}"


def ask(control_plane: ControlPlane, user: str, method: str, where: str, body: Manifest) -> str:
    """Ask for something in a dry run, and return what is said against it."""
    try:
        control_plane.request(method, f"{where}?dryRun=All", body, as_user=user)
    except urllib.error.HTTPError as error:
        return str(json.loads(error.read())["message"])
    return ""


def refusal(control_plane: ControlPlane, user: str, kind: str, labels: dict[str, str]) -> str:
    """Try to create an object whose pods have these labels, and return what is said against it."""
    _, make = MAKERS[kind]
    return ask(control_plane, user, "POST", path(kind), make(labels))


@pytest.mark.parametrize("kind", MAKERS)
def test_an_editor_makes_no_pod_that_a_builders_service_selects(installed_operator: ControlPlane, kind: str) -> None:
    assert REFUSED in refusal(installed_operator, EDITOR, kind, LABELS)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("without", ["buildkit-operator.dev/owner", "app.kubernetes.io/name"])
def test_one_of_the_labels_is_everybodys(installed_operator: ControlPlane, kind: str, without: str) -> None:
    # The engines of injection give the label of the owner to runner pods.
    labels = {key: value for key, value in LABELS.items() if key != without}

    assert refusal(installed_operator, EDITOR, kind, labels) == ""


@pytest.mark.parametrize("kind", MAKERS)
def test_nor_does_an_editor_make_one_by_a_change(installed_operator: ControlPlane, kind: str) -> None:
    _, make = MAKERS[kind]
    installed_operator.request("POST", path(kind), make({"app": "mine"}), as_user=EDITOR)
    try:
        body = {"metadata": {"labels": LABELS}} if kind == "Pod" else {"spec": {"template": template(LABELS)}}
        if kind == "CronJob":
            body = {"spec": {"jobTemplate": {"spec": job(LABELS)["spec"]}}}
        said = ask(installed_operator, EDITOR, "PATCH", path(kind, "mine"), body)
    finally:
        installed_operator.request("DELETE", path(kind, "mine"))

    # A Job's template cannot be changed at all.
    assert REFUSED in said or (kind == "Job" and "field is immutable" in said)


@pytest.mark.parametrize(
    ("user", "kind"),
    [
        (REPLICA_SETS, "Pod"),
        ("system:serviceaccount:kube-system:deployment-controller", "ReplicaSet"),
        ("system:serviceaccount:kube-system:statefulset-controller", "Pod"),
        (f"system:serviceaccount:{NAMESPACE}:buildkit-operator", "Deployment"),
        (f"system:serviceaccount:{NAMESPACE}:buildkit-operator", "StatefulSet"),
    ],
)
def test_who_makes_daemons_makes_them(installed_operator: ControlPlane, user: str, kind: str) -> None:
    assert refusal(installed_operator, user, kind, LABELS) == ""


def test_an_admin_restores_what_a_backup_has(installed_operator: ControlPlane) -> None:
    installed_operator.request("POST", path("Pod"), pod(LABELS))
    try:
        # What has them already may be changed as before, as a drain or a debug label needs it.
        more = {"metadata": {"labels": {"debug": "yes"}}}
        assert ask(installed_operator, EDITOR, "PATCH", path("Pod", "mine"), more) == ""
        others = {"metadata": {"labels": {"buildkit-operator.dev/owner": "another"}}}
        assert REFUSED in ask(installed_operator, EDITOR, "PATCH", path("Pod", "mine"), others)
    finally:
        installed_operator.request("DELETE", path("Pod", "mine") + "?gracePeriodSeconds=0")
