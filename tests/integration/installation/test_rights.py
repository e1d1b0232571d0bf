"""What our ServiceAccounts and the users of builders may do, as the API server's own answer, with all of it installed.

The golden files are what `kubectl auth can-i --list` says of an account and not of any other; `pytest
tests/integration/installation --update-golden` writes them anew, and the difference is then read like code.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from hack.cluster.controlplane import ControlPlane
from tests.integration.conftest import CRDS
from tests.integration.installation.conftest import NAMESPACE, WATCHED, Compose, create_namespaces, install

GOLDEN: Final = Path(__file__).parent / "golden"
ACCOUNTS: Final = ("buildkit-operator", "buildkit-operator-webhook")
PLACES: Final = (WATCHED[0], NAMESPACE, "default")
BUILDERS: Final = ("buildkit-operator.dev", "buildkitbuilders")


@pytest.fixture(scope="module", params=["cluster-wide", "namespaced"])
def scope(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def rights(scope: str, compose: Compose) -> Iterator[ControlPlane]:
    """Start an API server with the operator and the webhook for the cluster, or for some namespaces."""
    with ControlPlane() as control_plane:
        control_plane.apply_crds(CRDS)
        create_namespaces(control_plane)
        install(control_plane, compose("webhook", watched=WATCHED if scope == "namespaced" else ()))
        yield control_plane


@pytest.mark.parametrize("account", ACCOUNTS)
def test_an_account_may_do_exactly_this(
    rights: ControlPlane, scope: str, account: str, request: pytest.FixtureRequest
) -> None:
    golden = GOLDEN / f"{scope}-{account}.txt"
    said = "\n".join(f"# In the namespace {place}\n{more_than_others(rights, account, place)}" for place in PLACES)

    if request.config.getoption("--update-golden"):
        golden.write_text(said)
    assert said == golden.read_text()


def more_than_others(control_plane: ControlPlane, account: str, namespace: str) -> str:
    """Return what an account of ours has and one without any right has not, in an order that is always the same."""
    others = listed(control_plane, "nobody", namespace)
    own = [line for line in listed(control_plane, account, namespace) if line not in others]
    return "".join(f"{line}\n" for line in own)


def listed(control_plane: ControlPlane, account: str, namespace: str) -> list[str]:
    who = f"--as=system:serviceaccount:{NAMESPACE}:{account}"
    said = control_plane.kubectl(f"--namespace={namespace}", "auth", "can-i", "--list", who)
    assert "selfsubjectreviews" in said
    return sorted(" ".join(line.split()) for line in said.splitlines())


def may(control_plane: ControlPlane, user: str, verb: str, group: str, resource: str) -> bool:
    """Ask the API server whether a user may do something in a watched namespace."""
    plural, _, subresource = resource.partition("/")
    attributes = {
        "namespace": WATCHED[0],
        "verb": verb,
        "group": group,
        "resource": plural,
        "subresource": subresource,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes},
    }
    path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
    return bool(control_plane.request("POST", path, review)["status"]["allowed"])


@pytest.fixture(scope="module")
def people(rights: ControlPlane) -> ControlPlane:
    """Let a viewer and an editor have the roles for users, in a watched namespace."""
    for role, user in (("view", "viewer"), ("edit", "editor")):
        binding = (f"--clusterrole=buildkit-operator-{role}", f"--user={user}")
        rights.kubectl(f"--namespace={WATCHED[0]}", "create", "rolebinding", user, *binding)
    return rights


@pytest.mark.parametrize("user", ["viewer", "editor"])
def test_both_kinds_of_users_see_builders(people: ControlPlane, user: str) -> None:
    assert all(may(people, user, verb, *BUILDERS) for verb in ("get", "list", "watch"))
    assert may(people, user, "get", BUILDERS[0], "buildkitbuilders/scale")


@pytest.mark.parametrize("user", ["viewer", "editor"])
def test_no_user_reads_secrets_or_writes_a_status_by_it(people: ControlPlane, user: str) -> None:
    assert not any(may(people, user, verb, "", "secrets") for verb in ("get", "list", "watch"))
    assert not any(may(people, user, verb, BUILDERS[0], "buildkitbuilders/status") for verb in ("update", "patch"))


def test_only_editors_change_and_scale(people: ControlPlane) -> None:
    changes = [(verb, "buildkitbuilders") for verb in ("create", "update", "patch", "delete", "deletecollection")]
    changes += [(verb, "buildkitbuilders/scale") for verb in ("update", "patch")]

    assert all(may(people, "editor", verb, BUILDERS[0], resource) for verb, resource in changes)
    assert not any(may(people, "viewer", verb, BUILDERS[0], resource) for verb, resource in changes)


@pytest.mark.parametrize(
    ("name", "whose"), [("buildkit-operator-view", {"view"}), ("buildkit-operator-edit", {"edit", "admin"})]
)
def test_the_clusters_own_roles_take_them_in(rights: ControlPlane, name: str, whose: set[str]) -> None:
    """No controller aggregates here; the selectors of the cluster's roles are the API server's own."""
    group = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
    labels = rights.request("GET", f"{group}/{name}")["metadata"]["labels"].items()

    taking = {
        role
        for role in ("view", "edit", "admin")
        for selector in rights.request("GET", f"{group}/{role}")["aggregationRule"]["clusterRoleSelectors"]
        if selector["matchLabels"].items() <= labels
    }
    assert taking == whose


@pytest.mark.parametrize(
    ("verb", "name", "answered"),
    [
        ("get", "buildkit-operator", "yes"),
        ("get", "another", "no"),
        ("list", "", "no"),
        ("update", "buildkit-operator", "no"),
    ],
)
def test_another_installation_may_read_the_operators_lease_and_no_more(
    rights: ControlPlane, verb: str, name: str, answered: str
) -> None:
    lease = {"group": "coordination.k8s.io", "resource": "leases", "namespace": NAMESPACE, "verb": verb, "name": name}
    groups = ["system:serviceaccounts", "system:serviceaccounts:elsewhere", "system:authenticated"]
    who = {"user": "system:serviceaccount:elsewhere:buildkit-operator", "groups": groups}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {**who, "resourceAttributes": lease},
    }

    answer = rights.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)

    assert answer["status"]["allowed"] is (answered == "yes")
