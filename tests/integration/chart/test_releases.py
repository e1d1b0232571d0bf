"""Releases in a real API server: what it accepts, what upgrades keep, and what stays after an uninstall."""

import json
import shutil
import urllib.error
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from buildkit_operator.kube.resources import Manifest
from hack.cluster.controlplane import ControlPlane
from tests.integration.chart.test_rendered import ADMISSION, EVERYTHING
from tests.integration.conftest import CRDS
from tests.integration.installation.conftest import know_prometheus_operator
from tests.support.helm import CHART, NAME, Helm, HelmError, with_image, workloads

RESOURCE: Final = "buildkitbuilders.buildkit-operator.dev"
CONFIGURATION: Final = f"/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/{NAME}-webhook"
WEBHOOK: Final[Manifest] = {"injection": {"engine": "Webhook"}}
BUILDER: Final[Manifest] = {
    "apiVersion": "buildkit-operator.dev/v1alpha1",
    "kind": "BuildKitBuilder",
    "metadata": {"name": "demo", "namespace": "default"},
    "spec": {"mode": "Sidecar"},
}


@pytest.fixture
def server() -> Iterator[ControlPlane]:
    """Return an API server that knows nothing of us yet."""
    with ControlPlane() as control_plane:
        yield control_plane


@pytest.fixture
def installer(helm: Helm, server: ControlPlane) -> Callable[..., str]:
    """Return a function that installs or upgrades a release there and returns what Helm then says."""
    admin = Helm(helm.program, server.kubeconfig)

    def install(
        values: Manifest | None = None, *flags: str, verb: str = "install", release: str = NAME, namespace: str = NAME
    ) -> str:
        where = (f"--namespace={namespace}", "--create-namespace")
        return admin(verb, release, str(CHART), *where, *flags, values=with_image(values))

    return install


def uninstall(helm: Helm, server: ControlPlane, release: str = NAME, namespace: str = NAME) -> str:
    return Helm(helm.program, server.kubeconfig)("uninstall", release, f"--namespace={namespace}")


def names(server: ControlPlane, kinds: str) -> list[str]:
    """Return the objects of these kinds that are ours, of all namespaces."""
    selector = "--selector=app.kubernetes.io/name=buildkit-operator"
    return server.kubectl("get", kinds, "--all-namespaces", selector, "--output=name").split()


def apply(server: ControlPlane, *manifests: Manifest) -> str:
    return server.kubectl("apply", "--server-side", "--filename=-", text=yaml.safe_dump_all(manifests))


@pytest.mark.parametrize(
    "values",
    [
        {"injection": {"engine": "AdmissionPolicy"}},
        EVERYTHING,
        {**EVERYTHING, "watchNamespaces": ["default", "kube-public"]},
        {
            "affinity": {"nodeAffinity": {}},
            "tolerations": [{"key": "ci", "operator": "Exists"}],
            "podLabels": {"a": "b"},
        },
    ],
    ids=str,
)
def test_the_api_server_accepts_it_in_every_detail(helm: Helm, control_plane: ControlPlane, values: Manifest) -> None:
    control_plane.apply_crds(CRDS)
    know_prometheus_operator(control_plane)
    apply(control_plane, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tools"}})
    rendered = helm.render(values, release="ci", namespace="tools")

    said = control_plane.kubectl(
        "apply",
        "--server-side",
        "--dry-run=server",
        "--force-conflicts",
        "--validate=strict",
        "--filename=-",
        text=rendered,
    )

    assert said.count("serverside-applied") == len([m for m in yaml.safe_load_all(rendered) if m])


@pytest.mark.parametrize("process", ["operator", "webhook"])
def test_its_pods_are_admitted_where_pod_security_is_restricted(
    helm: Helm, control_plane: ControlPlane, process: str
) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    apply(control_plane, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "strict", "labels": labels}})
    template = workloads(helm.manifests(EVERYTHING, namespace="strict"))[process]
    pod = {"metadata": {"name": process, **template["metadata"]}, "spec": template["spec"]}
    path = "/api/v1/namespaces/strict/pods?dryRun=All&fieldValidation=Strict"

    control_plane.request("POST", path, pod)

    (container,) = pod["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert {"startupProbe", "readinessProbe", "livenessProbe", "resources"} <= container.keys()
    # The level is really enforced there.
    del container["securityContext"]
    with pytest.raises(urllib.error.HTTPError, match="403"):
        control_plane.request("POST", path, pod)


def test_the_examples_of_the_chart_are_accepted(control_plane: ControlPlane, crds: None) -> None:  # noqa: ARG001
    annotations = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    examples = yaml.safe_load(annotations["artifacthub.io/crdsExamples"])

    control_plane.kubectl(
        "apply", "--server-side", "--dry-run=server", "--filename=-", text=yaml.safe_dump_all(examples)
    )

    assert sorted(example["spec"]["mode"] for example in examples) == ["Shared", "Sidecar"]
    assert all("description" in change for change in yaml.safe_load(annotations["artifacthub.io/changes"]))


def test_auto_takes_the_policies_where_the_api_server_has_them(
    server: ControlPlane, installer: Callable[..., str]
) -> None:
    said = installer()

    assert "from the API server's admission policies, which this cluster has." in said
    assert "for the whole cluster" in said
    assert names(server, "mutatingadmissionpolicies") != []
    assert names(server, "mutatingwebhookconfigurations") == []


def test_builders_survive_an_uninstall_and_nothing_of_the_engine_does(
    helm: Helm, server: ControlPlane, installer: Callable[..., str]
) -> None:
    installer()
    apply(server, BUILDER)
    before = server.kubectl("get", "bkb", "demo", "--output=jsonpath={.metadata.uid}")

    said = uninstall(helm, server)

    assert RESOURCE in said
    assert server.kubectl("get", "bkb", "demo", "--output=jsonpath={.metadata.uid}") == before
    assert names(server, ",".join(f"{kind}.admissionregistration.k8s.io" for kind in ADMISSION)) == []
    for kinds in ("clusterroles,clusterrolebindings,roles,rolebindings", "all", "serviceaccounts,pdb,configmaps"):
        assert names(server, kinds) == []

    installer()

    assert server.kubectl("get", "bkb", "demo", "--output=jsonpath={.metadata.uid}") == before


def test_a_crd_that_stayed_is_left_to_whom_it_belongs_until_somebody_takes_it(
    helm: Helm, server: ControlPlane, installer: Callable[..., str]
) -> None:
    installer()
    uninstall(helm, server)

    with pytest.raises(HelmError, match="cannot be imported into the current release"):
        installer(release="other")
    installer({}, "--take-ownership", release="other")


def test_an_upgrade_leaves_the_authority_that_the_webhook_wrote(
    server: ControlPlane, installer: Callable[..., str]
) -> None:
    assert "from the webhook." in installer(WEBHOOK)
    bundle = b64encode(b"-----BEGIN CERTIFICATE-----\n").decode()
    trusted = [{"op": "add", "path": f"/webhooks/{index}/clientConfig/caBundle", "value": bundle} for index in range(3)]
    server.kubectl(
        "patch",
        "mutatingwebhookconfiguration",
        f"{NAME}-webhook",
        "--type=json",
        "--field-manager=buildkit-operator-webhook",
        f"--patch={json.dumps(trusted)}",
    )

    installer({**WEBHOOK, "logLevel": "debug", "webhook": {"replicas": 3}}, verb="upgrade")

    webhooks = server.request("GET", CONFIGURATION)["webhooks"]
    assert [webhook["clientConfig"]["caBundle"] for webhook in webhooks] == [bundle] * 3


def test_an_upgrade_changes_the_engine(server: ControlPlane, installer: Callable[..., str]) -> None:
    installer(WEBHOOK)

    # Without any values, an upgrade keeps those of before.
    installer({"injection": {"engine": "Auto"}}, verb="upgrade")

    assert names(server, "mutatingwebhookconfigurations") == []
    assert names(server, "deployments") == [f"deployment.apps/{NAME}"]
    assert names(server, "mutatingadmissionpolicies") != []


@pytest.mark.parametrize("engine", ["AdmissionPolicy", "Webhook"])
def test_two_releases_stand_side_by_side(
    helm: Helm, server: ControlPlane, installer: Callable[..., str], engine: str
) -> None:
    values: Manifest = {"injection": {"engine": engine}}
    installer({**values, "watchNamespaces": ["default"]})
    alone = names(server, "clusterroles,roles,deployments,mutatingadmissionpolicies,mutatingwebhookconfigurations")

    second = {**values, "watchNamespaces": ["kube-public"], "crds": {"enabled": False}}
    installer(second, release="ci", namespace="tools")
    uninstall(helm, server, "ci", "tools")

    assert alone == names(
        server, "clusterroles,roles,deployments,mutatingadmissionpolicies,mutatingwebhookconfigurations"
    )


def test_a_chart_that_brings_it_along_can_set_its_values(helm: Helm, tmp_path: Path) -> None:
    parent = tmp_path / "platform"
    shutil.copytree(CHART, parent / "charts" / NAME)
    (parent / "Chart.yaml").write_text("apiVersion: v2\nname: platform\nversion: 0.0.1\n")

    rendered = helm.manifests({"global": {"team": "ci"}, NAME: with_image({"operator": {"replicas": 5}})}, chart=parent)

    assert [m["spec"]["replicas"] for m in rendered if m["kind"] == "Deployment"] == [5]
