"""The chart as an administrator lives with it: installed as it was a commit ago, upgraded, and uninstalled.

The operator that other tests use is taken away before, and is back afterwards.
"""

import io
import subprocess
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from hack.cluster import pins
from hack.cluster.installation import OPERATOR, has_policies, operator_image, run_operator, tags, uninstall
from hack.cluster.kubectl import Kubectl, KubectlError, wait_for
from tests.e2e.test_webhook_engine import created
from tests.support.helm import CHART, NAME, Helm, HelmError
from tests.support.jobs import BUILD, Job, builder, gated, open_gate, wait_ready
from tests.support.runners import BUILD as INJECTED_BUILD
from tests.support.runners import LABEL, Runner, push, sidecar, step

TOP: Final = Path(__file__).parents[2]
PODS: Final = f"--selector=app.kubernetes.io/name={OPERATOR}"
LABELLED: Final = {LABEL: "sidecar"}
pytestmark = pytest.mark.exclusive("removes the operator and its CRD, and so every builder")
CRD: Final = "buildkitbuilders.buildkit-operator.dev"


@dataclass(frozen=True)
class Release:
    """The release, of one engine, in a cluster."""

    helm: Helm
    cluster: Kubectl
    engine: str

    @property
    def own(self) -> Kubectl:
        """Return kubectl for the release's namespace."""
        return self.cluster.within(NAME)

    def change(self, verb: str, chart: Path, **values: object) -> str:
        """Install or upgrade it, and wait until all its pods are ready."""
        repository, at, digest = operator_image().partition("@")
        name, _, tag = repository.rpartition(":")
        image = {"repository": repository, "digest": digest} if at else {"repository": name, "tag": tag}
        # By tag, as images that were made here have digests of their own.
        of_pods = {"buildkitImage": pins.BUILDKIT_IMAGE, "connectorImage": pins.HAPROXY_IMAGE}
        chosen = {"image": image, **of_pods, "injection": {"engine": self.engine}, **values}
        where = (f"--namespace={NAME}", "--wait", "--timeout=120s")
        return self.helm(verb, NAME, str(chart), *where, values=chosen)

    def uninstall(self) -> str:
        return self.helm("uninstall", NAME, f"--namespace={NAME}", "--wait", "--timeout=120s")

    def pods(self) -> list[str]:
        """Return the operator's pods that are to stay."""
        found = self.own.get("pods", PODS)
        return sorted(pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"])

    def leader(self) -> str:
        """Return the pod that writes."""
        lease = self.own.get("lease", NAME)
        return str(lease["spec"]["holderIdentity"])

    def leading(self) -> list[str]:
        """Return the pods that say of themselves that they write."""
        path = f"/api/v1/namespaces/{NAME}/pods/{{}}:8080/proxy/metrics"
        said = {pod: self.own.read(path.format(pod)) for pod in self.pods()}
        return [pod for pod, metrics in said.items() if "\nbuildkit_operator_leading 1.0\n" in metrics]


@pytest.fixture(scope="module")
def bare(cluster: Kubectl) -> Iterator[Kubectl]:
    """Return kubectl for a cluster where nothing of us is installed."""
    uninstall(cluster)
    try:
        yield cluster
    finally:
        cluster("delete", "crd", CRD, "--ignore-not-found", timeout=180)
        cluster("delete", "namespace", NAME, "--ignore-not-found", timeout=180)
        run_operator(cluster, operator_image())


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the chart of the commit before; this one under a lower version where there is none."""
    folder = tmp_path_factory.mktemp("previous")
    path = CHART.relative_to(TOP)
    archive = subprocess.run(["git", "archive", "HEAD~1", "--", str(path)], cwd=TOP, capture_output=True, check=False)
    if archive.returncode == 0:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(folder, filter="data")
        return folder / path
    return lowered(folder)


def lowered(folder: Path) -> Path:
    """Return the chart as it stands, packed as version 0.0.1."""
    copy = folder / NAME
    subprocess.run(["cp", "-r", str(CHART), str(copy)], check=True)
    description = copy / "Chart.yaml"
    lines = ["version: 0.0.1" if line.startswith("version:") else line for line in description.read_text().splitlines()]
    description.write_text("\n".join(lines) + "\n")
    return copy


@pytest.fixture(scope="module", params=["AdmissionPolicy", "Webhook"])
def release(request: pytest.FixtureRequest, bare: Kubectl, previous: Path) -> Iterator[Release]:
    """Install the chart of before in a namespace for restricted pods."""
    if request.param == "AdmissionPolicy" and not has_policies(bare):
        pytest.skip("This API server has no mutating admission policies.")
    bare.create_namespace(NAME, **{"pod-security.kubernetes.io/enforce": "restricted"})
    helm = Helm(bare.program.parent / "helm", bare.kubeconfig)
    release = Release(helm, bare, request.param)
    release.change("install", previous)
    try:
        yield release
    finally:
        # The last test has done so, if all went well.
        with suppress(HelmError):
            release.uninstall()


@pytest.fixture(scope="module")
def team(release: Release) -> Iterator[Kubectl]:
    """Return a namespace with builders of both modes that are ready."""
    team = release.cluster.create_namespace(f"team-{release.engine.lower()}")
    team.apply(builder(), sidecar("sidecar"))
    wait_ready(team)
    wait_ready(team, "sidecar")
    wait_for("pods get their builder", lambda: created(team, LABELLED) == ["buildkitd"])
    yield team
    release.cluster("delete", "namespace", team.namespace, "--wait=false")


def daemon(team: Kubectl) -> str:
    """Return the uid of the shared builder's one pod."""
    (pod,) = team.get("pods", "--selector=buildkit-operator.dev/owner=demo")
    return str(pod["metadata"]["uid"])


def may(team: Kubectl, user: str, verb: str, subresource: str = "") -> bool:
    """Tell whether a user may do this with builders of the namespace, or with a part of them."""
    try:
        return team("auth", "can-i", verb, "bkb", f"--subresource={subresource}", f"--as={user}").strip() == "yes"
    except KubectlError:
        return False


def test_an_upgrade_replaces_the_operator_and_no_daemon_and_no_build(release: Release, team: Kubectl) -> None:
    before, at_work = daemon(team), release.pods()
    build = Job.start(team, f"{BUILD} --opt build-arg:SALT=upgrade", files=gated(team))
    build.wait_log("begun upgrade")

    # What changes rolls the pods, also where the charts are the same.
    release.change("upgrade", CHART, podAnnotations={"test": "upgraded"})
    open_gate(team)

    assert "ended upgrade" in build.finish()
    wait_for("all pods are new", lambda: len(release.pods()) == 2 and not set(release.pods()) & set(at_work))
    wait_ready(team)
    wait_ready(team, "sidecar")
    assert daemon(team) == before


def test_a_job_builds_and_pushes_after_it(release: Release, team: Kubectl) -> None:
    tag = f"helm-{release.engine.lower()}"

    Runner.start(team, step(f"{INJECTED_BUILD} {push(tag)}"), asks_for="sidecar").succeed()

    assert tag in tags(team, "org/sidecar")


def test_one_of_two_replicas_writes_and_the_other_takes_over(release: Release, team: Kubectl) -> None:
    wait_for("one leads", lambda: release.leading() == [release.leader()])
    first = release.leader()
    budget = release.own.get("pdb", NAME)
    wait_for("the budget counts both", lambda: release.own.get("pdb", NAME)["status"]["currentHealthy"] == 2)

    release.own("delete", "pod", first, "--grace-period=0", "--force")

    wait_for("the other leads", lambda: release.leader() not in {first, ""} and release.leader() in release.pods())
    team.apply(sidecar("later"))
    wait_ready(team, "later")
    team("delete", "bkb", "later")
    assert budget["spec"]["minAvailable"] == 1
    wait_for("there are two again", lambda: release.own.get("pdb", NAME)["status"]["currentHealthy"] == 2)
    assert release.leading() == [release.leader()]


def test_users_with_the_clusters_own_roles_may_use_builders(release: Release, team: Kubectl) -> None:  # noqa: ARG001  it is installed
    for role in ("view", "edit", "admin"):
        team("create", "rolebinding", role, f"--clusterrole={role}", f"--user={role}er")
    wait_for("the roles are aggregated", lambda: may(team, "viewer", "get"))

    assert may(team, "viewer", "watch")
    assert not may(team, "viewer", "create")
    assert not may(team, "viewer", "patch", "scale")
    for user in ("editer", "adminer"):
        wait_for(f"the {user} may", partial(may, team, user, "create"))
        for verb in ("get", "list", "patch", "delete"):
            assert may(team, user, verb), (user, verb)
        assert may(team, user, "patch", "scale")
        assert not may(team, user, "patch", "status")
    assert not may(team, "nobody", "get")


def test_an_uninstall_leaves_builders_and_daemons_and_nothing_that_touches_pods(
    release: Release, team: Kubectl
) -> None:
    before, uids = daemon(team), builders(team)
    assert set(uids) == {"demo", "sidecar"}

    said = release.uninstall()

    assert CRD in said
    assert builders(team) == uids
    assert daemon(team) == before
    kinds = release.cluster("api-resources", "--api-group=admissionregistration.k8s.io", "--output=name").split()
    assert "mutatingwebhookconfigurations.admissionregistration.k8s.io" in kinds
    for kind in (*kinds, "clusterroles", "clusterrolebindings"):
        assert ours(release.cluster, kind) == []
    wait_for("nothing runs", lambda: release.own.get("pods") == [])
    # The API server forgets a policy a moment after it is gone.
    wait_for("pods are admitted as they are", lambda: as_it_is(team))
    # Garbage is still collected: nothing waits for somebody who is gone.
    team("delete", "bkb", "demo", "--timeout=30s")
    wait_for("its daemon goes with it", lambda: team.get("deployments") == [])


def builders(team: Kubectl) -> dict[str, str]:
    return {found["metadata"]["name"]: found["metadata"]["uid"] for found in team.get("bkb")}


def ours(cluster: Kubectl, kind: str) -> list[str]:
    """Return the names of the objects of a kind that begin with ours, as all of no namespace do."""
    return [name for found in cluster.get(kind) if (name := found["metadata"]["name"]).startswith(NAME)]


def as_it_is(team: Kubectl) -> bool:
    with suppress(KubectlError):
        return created(team, LABELLED) == []
    time.sleep(0.5)
    return False
