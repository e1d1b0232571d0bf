"""Who can do what with a builder: each cell of the table of rights, tried on a real API server as that user.

The operator runs with its own rights and has made the builder's Secrets, so that what is tried is what would be stolen.
"""

import json
import urllib.error
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import pytest

from buildkit_operator.api.names import API_VERSION, GROUP, KIND
from buildkit_operator.kube.resources import Manifest
from hack.cluster import artifacts
from hack.cluster.controlplane import ControlPlane
from hack.generate.paths import KUSTOMIZE
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.builder_operator import BuilderOperator
from tests.integration.conftest import CRDS
from tests.integration.installation.conftest import NAMESPACE, WATCHED, Compose, create_namespaces, install
from tests.support.threat_model import BY_A_BUILDER, COST, DRY_RUN, OWN, RIGHTS, Row, Who, cells

TEAM, OTHER = WATCHED
ADMISSION: Final = "/apis/admissionregistration.k8s.io/v1"
CERT_MANAGER: Final = "/apis/cert-manager.io/v1"
RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"
OURS: Final = f"/api/v1/namespaces/{NAMESPACE}"

VALUE: Final = "a-value-of-the-spec"

USERS: Final = {
    Who.VIEW: "viewer",
    Who.EDIT: "editor",
    Who.BUILDERS_VIEW: "builders-viewer",
    Who.BUILDERS_EDIT: "builders-editor",
    Who.JOB: f"system:serviceaccount:{TEAM}:default",
    Who.ELSEWHERE: "stranger",
    Who.OPERATOR: f"system:serviceaccount:{NAMESPACE}:buildkit-operator",
    Who.WEBHOOK: f"system:serviceaccount:{NAMESPACE}:buildkit-operator-webhook",
    Who.NOBODY: "system:anonymous",
}
BINDINGS: Final = (
    ("viewer", "view", TEAM),
    ("editor", "edit", TEAM),
    ("builders-viewer", "buildkit-operator-view", TEAM),
    ("builders-editor", "buildkit-operator-edit", TEAM),
    ("stranger", "edit", OTHER),
)


@dataclass(frozen=True)
class Somebody:
    """A user at an API server on which everything is installed."""

    control_plane: ControlPlane
    user: str

    def may(self, method: str, path: str, body: Any = None, *, dry_run: bool = True) -> bool:
        """Ask for something, and tell whether it was done, or would be. Raises HTTPError for any other trouble."""
        query = "?dryRun=All" if dry_run and method != "GET" else ""
        try:
            self.control_plane.request(method, path + query, body, as_user=self.user)
        except urllib.error.HTTPError as error:
            said = json.loads(error.read())["message"]
            by_policy = error.code == HTTPStatus.UNPROCESSABLE_ENTITY and "AdmissionPolicy" in said
            if error.code != HTTPStatus.FORBIDDEN and not by_policy:
                error.add_note(said)
                raise
            return False
        return True

    def is_allowed(self, verb: str, group: str, resource: str, namespace: str) -> bool:
        """Ask the API server whether the user has a right on something that cannot be tried without pods."""
        plural, _, subresource = resource.partition("/")
        attributes = {"verb": verb, "group": group, "resource": plural, "subresource": subresource}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "LocalSubjectAccessReview",
            "metadata": {"namespace": namespace},
            "spec": {"user": self.user, "resourceAttributes": {**attributes, "namespace": namespace}},
        }
        path = f"/apis/authorization.k8s.io/v1/namespaces/{namespace}/localsubjectaccessreviews"
        return bool(self.control_plane.request("POST", path, review)["status"]["allowed"])


@pytest.fixture(scope="module")
def installed_whole(compose: Compose) -> Iterator[ControlPlane]:
    """Start an API server with everything installed for the whole cluster, and its users."""
    with ControlPlane(controllers=("clusterrole-aggregation-controller",)) as control_plane:
        folder = artifacts.ensure("files:cert-manager")["files:cert-manager"]
        control_plane.kubectl("apply", "--server-side", f"--filename={folder / 'cert-manager.io_certificates.yaml'}")
        control_plane.apply_crds(CRDS)
        create_namespaces(control_plane)
        install(control_plane, compose("policies"))
        for file in ("rbac.yaml", "configuration.yaml"):
            control_plane.kubectl("apply", "--server-side", f"--filename={KUSTOMIZE / 'components' / 'webhook' / file}")
        # Nothing answers for it here, and the policies inject.
        path = f"{ADMISSION}/mutatingwebhookconfigurations/buildkit-operator-webhook"
        control_plane.request("PATCH", path, {"webhooks": []})
        control_plane.request("POST", f"{OURS}/secrets", {"metadata": {"name": "buildkit-operator-webhook"}})
        for user, role, namespace in BINDINGS:
            bind = ("create", "rolebinding", user, f"--clusterrole={role}", f"--user={user}")
            control_plane.kubectl(f"--namespace={namespace}", *bind)
        yield control_plane


@pytest.fixture(scope="module")
def operator(installed_whole: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BuilderOperator]:
    """Start the operator with its own rights."""
    kubeconfig = installed_whole.service_account_kubeconfig(NAMESPACE, "buildkit-operator")
    log = tmp_path_factory.mktemp("operator") / "log"
    process = BuilderOperator(kubeconfig, log, lease=True, lease_namespace=NAMESPACE)
    try:
        process.wait_ready()
        yield process
    finally:
        process.kill()


@pytest.fixture(scope="module")
def builders(installed_whole: ControlPlane, operator: BuilderOperator) -> Builders:  # noqa: ARG001  it makes it
    """Have the operator make a builder, and return the builder's namespace."""
    team = Builders(installed_whole, TEAM)
    team.create(env=[{"name": "SETTING", "value": VALUE}])
    team.make_ready()
    team.post("pods", _pod() | {"metadata": {"name": "job"}})
    return team


# What is tried, by the rows' names; of several things either all are allowed or none


def _builder(name: str, **spec: Any) -> Manifest:
    spec = {"mode": "Shared", **spec}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": name}, "spec": spec}


def _deployment(**labels: str) -> Manifest:
    spec = {"selector": {"matchLabels": {"app": "mine"}}, "template": _pod(app="mine", **labels)}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "mine"}, "spec": spec}


def _pod(**labels: str) -> Manifest:
    container = {"name": "job", "image": "job"}
    return {"metadata": {"generateName": "job-", "labels": labels}, "spec": {"containers": [container]}}


DAEMON_LABELS: Final = {f"{GROUP}/owner": "demo", "app.kubernetes.io/name": "buildkitd"}
CERTIFICATE: Final = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "Certificate",
    "metadata": {"name": "mine"},
    "spec": {"secretName": "mine", "dnsNames": ["x.example"], "issuerRef": {"name": "any"}},
}
LABELS: Final = {"metadata": {"labels": {"tried": "yes"}}}
FROM: Final = {"from": {"namespace": TEAM, "name": "demo"}}

Attempt = Callable[[Somebody, Builders], Sequence[bool]]


def _secrets(who: Somebody, team: Builders, *names: str) -> list[bool]:
    return [who.may("GET", team.path("secrets", name)) for name in names]


def _changes(who: Somebody, path: str) -> list[bool]:
    return [who.may("PATCH", path, LABELS), who.may("DELETE", path)]


def _change_builder(who: Somebody, team: Builders) -> list[bool]:
    path = team.path("buildkitbuilders", "demo")
    scale = who.may("PATCH", f"{path}/scale", {"spec": {"replicas": 0}})
    created = who.may("POST", team.path("buildkitbuilders"), _builder("mine"))
    return [created, scale, who.may("PATCH", path, {"spec": {"image": "mine"}}), who.may("DELETE", path)]


def _write_status(who: Somebody, team: Builders) -> list[bool]:
    path = team.path("buildkitbuilders", "demo") + "/status"
    return [who.may("PATCH", path, {"status": {"image": "mine"}})]


def _objects(who: Somebody, team: Builders) -> list[bool]:
    objects = (("configmaps", "demo-buildkitd"), ("services", "demo-buildkitd"), ("deployments", "demo-buildkitd"))
    return [allowed for plural, name in objects for allowed in _changes(who, team.path(plural, name))]


def _engines(who: Somebody, team: Builders) -> list[bool]:  # noqa: ARG001  the same for all builders
    kinds = (
        ("mutatingadmissionpolicies", "buildkit-operator-label"),
        ("mutatingadmissionpolicybindings", "buildkit-operator-label"),
        ("validatingadmissionpolicies", "buildkit-operator-injected"),
        ("validatingadmissionpolicybindings", "buildkit-operator-injected"),
        ("validatingadmissionpolicies", "buildkit-operator-daemons"),
        ("validatingadmissionpolicybindings", "buildkit-operator-daemons"),
        ("validatingadmissionpolicies", "buildkit-operator-probe"),
        ("validatingadmissionpolicybindings", "buildkit-operator-probe"),
    )
    changed = [who.may("PATCH", f"{ADMISSION}/{plural}/{name}", LABELS) for plural, name in kinds]
    webhook = {"metadata": {"name": "another"}}
    return [*changed, who.may("POST", f"{ADMISSION}/mutatingwebhookconfigurations", webhook)]


def _rights(who: Somebody, team: Builders) -> list[bool]:
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": who.user}
    binding = {"metadata": {"name": "mine"}, "roleRef": role, "subjects": [subject]}
    given = [
        who.may("POST", f"{RBAC}/namespaces/{team.namespace}/rolebindings", binding),
        who.may("POST", f"{RBAC}/clusterrolebindings", binding),
    ]
    acted = [who.is_allowed("impersonate", "", kind, NAMESPACE) for kind in ("users", "groups", "serviceaccounts")]
    return [*given, *acted]


def _metrics(who: Somebody, team: Builders) -> list[bool]:  # noqa: ARG001  the same for all builders
    ways = (("get", "services/proxy"), ("get", "pods/proxy"), ("create", "pods/portforward"))
    return [who.is_allowed(verb, "", resource, NAMESPACE) for verb, resource in ways]


def _borrow(who: Somebody, team: Builders) -> list[bool]:
    """Make a consumer where the user may, and look whether it gets a client's key."""
    other = Builders(team.control_plane, OTHER)
    if not who.may("POST", other.path("buildkitbuilders"), _builder("borrower", shared=FROM), dry_run=False):
        return [False]
    try:
        other.wait_reason("NotAdmitted", "borrower")
        return [other.get("secrets", "borrower-connection") is not None]
    finally:
        other.delete("buildkitbuilders", "borrower")


ATTEMPTS: Final[dict[str, Attempt]] = {
    "see": lambda who, team: [who.may("GET", team.path("buildkitbuilders"))],
    "change": _change_builder,
    "status": _write_status,
    "finalizers": lambda who, team: [who.is_allowed("update", GROUP, "buildkitbuilders/finalizers", team.namespace)],
    "client-key": lambda who, team: _secrets(who, team, "demo-connection"),
    "authority-key": lambda who, team: _secrets(who, team, "demo-buildkitd-ca", "demo-buildkitd-tls"),
    "list-secrets": lambda who, team: [who.may("GET", team.path("secrets"))],
    "write-secrets": lambda who, team: _changes(who, team.path("secrets", "demo-buildkitd-ca")),
    "write-objects": _objects,
    "pods": lambda who, team: [who.may("POST", team.path("pods"), _pod(), dry_run=False)],
    "change-pods": lambda who, team: _changes(who, team.path("pods", "job")),
    "workloads": lambda who, team: [who.may("POST", team.path("deployments"), _deployment())],
    "daemon": lambda who, team: [
        who.may("POST", team.path("pods"), _pod(**DAEMON_LABELS)),
        who.may("POST", team.path("deployments"), _deployment(**DAEMON_LABELS)),
    ],
    "exec": lambda who, team: [who.is_allowed("create", "", "pods/exec", team.namespace)],
    "log": lambda who, team: [who.is_allowed("get", "", "pods/log", team.namespace)],
    "inject-elsewhere": lambda who, team: [
        who.may("POST", f"/api/v1/namespaces/{OTHER}/pods", _pod(**{f"{GROUP}/builder": name}))
        for name in ("demo", f"{team.namespace}.demo")
    ],
    "pretend": lambda who, team: [
        who.may("POST", team.path("pods"), _pod(**{f"{GROUP}/builder": "demo", f"{GROUP}/injected": "demo"}))
    ],
    "borrow": _borrow,
    "certificates": lambda who, team: [
        who.may("POST", f"{CERT_MANAGER}/namespaces/{team.namespace}/certificates", CERTIFICATE)
    ],
    "engines": _engines,
    "namespace": lambda who, team: [who.may("PATCH", f"/api/v1/namespaces/{team.namespace}", LABELS)],
    "own-secret": lambda who, team: [who.may("GET", f"{OURS}/secrets/buildkit-operator-webhook")],  # noqa: ARG005
    "own-deployment": lambda who, team: [  # noqa: ARG005
        who.may("PATCH", f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/buildkit-operator", LABELS)
    ],
    "lease": lambda who, team: [who.is_allowed("update", "coordination.k8s.io", "leases", NAMESPACE)],  # noqa: ARG005
    "tokens": lambda who, team: [  # noqa: ARG005
        who.may("POST", f"{OURS}/serviceaccounts/{name}/token", {"spec": {}})
        for name in ("buildkit-operator", "buildkit-operator-webhook")
    ],
    "metrics": _metrics,
    "rights": _rights,
}


@pytest.mark.parametrize(
    ("row", "who"), cells(RIGHTS, Who), ids=lambda value: value.name if isinstance(value, Row) else value.name.lower()
)
def test_a_cell(builders: Builders, row: Row, who: Who) -> None:
    somebody = Somebody(builders.control_plane, USERS[who])

    assert set(ATTEMPTS[row.name](somebody, builders)) == {who in row.able}


# Those who can in part, or in another way


def test_each_cell_that_is_neither_yes_nor_no_has_a_test_here() -> None:
    assert {(row.name, who, said) for row in RIGHTS for who, said in row.otherwise.items()} == {
        ("pods", Who.OPERATOR, DRY_RUN),
        ("change-pods", Who.OPERATOR, COST),
        ("workloads", Who.BUILDERS_EDIT, BY_A_BUILDER),
        ("certificates", Who.BUILDERS_EDIT, BY_A_BUILDER),
        ("engines", Who.WEBHOOK, OWN),
    }


def test_the_operator_creates_pods_as_dry_runs_alone(builders: Builders) -> None:
    operator = Somebody(builders.control_plane, USERS[Who.OPERATOR])

    assert operator.may("POST", builders.path("pods"), _pod())
    assert not operator.may("POST", builders.path("pods"), _pod(), dry_run=False)


def test_the_operator_changes_the_deletion_cost_of_daemons_alone(builders: Builders) -> None:
    operator = Somebody(builders.control_plane, USERS[Who.OPERATOR])
    daemon = _pod(**DAEMON_LABELS) | {"metadata": {"name": "daemon", "labels": DAEMON_LABELS}}
    builders.post("pods", daemon)
    cost = {"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "3"}}}

    assert operator.may("PATCH", builders.path("pods", "daemon"), cost)
    assert not operator.may("PATCH", builders.path("pods", "job"), cost)
    for more in (
        LABELS,
        {"metadata": {"annotations": {"other": "note"}}},
        {"metadata": {"finalizers": ["example.com/never"]}},
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "job", "uid": "1"}]}},
        {"spec": {"activeDeadlineSeconds": 5}},
    ):
        assert not operator.may("PATCH", builders.path("pods", "daemon"), more), more
    builders.delete("pods", "daemon")


def test_who_edits_builders_alone_runs_an_image_by_one(builders: Builders) -> None:
    editor = Somebody(builders.control_plane, USERS[Who.BUILDERS_EDIT])
    spec = _builder("image", image="registry.example.com/mine:1")

    assert editor.may("POST", builders.path("buildkitbuilders"), spec, dry_run=False)

    pod = builders.wait_for_deployment("image")["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == "registry.example.com/mine:1"
    builders.delete("buildkitbuilders", "image")


def test_who_edits_builders_alone_orders_certificates_by_one(builders: Builders) -> None:
    editor = Somebody(builders.control_plane, USERS[Who.BUILDERS_EDIT])
    tls = {"mode": "CertManager", "issuerRef": {"name": "team"}}

    assert editor.may(
        "POST", builders.path("buildkitbuilders"), _builder("ordered", shared={"tls": tls}), dry_run=False
    )

    path = f"{CERT_MANAGER}/namespaces/{TEAM}/certificates"
    ordered = builders.wait("a certificate", lambda: builders.control_plane.request("GET", path)["items"])
    names = {name.removeprefix("*.").split(".")[0] for item in ordered for name in item["spec"].get("dnsNames", ())}
    assert names == {"ordered-buildkitd", "ordered-buildkitd-headless", "localhost"}
    builders.delete("buildkitbuilders", "ordered")


def test_the_webhook_changes_its_own_configuration_alone(builders: Builders) -> None:
    webhook = Somebody(builders.control_plane, USERS[Who.WEBHOOK])
    path = f"{ADMISSION}/mutatingwebhookconfigurations"

    assert webhook.may("PATCH", f"{path}/buildkit-operator-webhook", LABELS)
    assert not webhook.may("DELETE", f"{path}/buildkit-operator-webhook")
    builders.control_plane.request("POST", path, {"metadata": {"name": "another"}})
    assert not webhook.may("PATCH", f"{path}/another", LABELS)


def test_whoever_reaches_the_operators_port_reads_names_and_no_values(
    builders: Builders, operator: BuilderOperator
) -> None:
    status, metrics = operator.get("/metrics")

    assert status == HTTPStatus.OK
    assert f'builder="demo",namespace="{builders.namespace}"' in metrics
    assert VALUE not in metrics
