"""What the chart renders to, by Kubernetes' version, by release and namespace, and for some namespaces only."""

from typing import Final

import pytest
import yaml

from buildkit_operator.api import names
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.settings import Settings, WebhookSettings
from hack.cluster import pins
from tests.integration.chart import settings
from tests.support.helm import CHART, NAME, Helm, HelmError, kinds, named, workloads

POLICY_API: Final = "--api-versions=admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"
EVERYTHING: Final[Manifest] = {
    "injection": {"engine": "Webhook"},
    "monitoring": {what: {"enabled": True} for what in ("serviceMonitors", "podMonitor", "alerts", "dashboard")},
}
ADMISSION: Final = {
    "MutatingWebhookConfiguration",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}
CLUSTER_WIDE: Final = ADMISSION | {"ClusterRole", "ClusterRoleBinding"}
"""Without the CRD, whose name nobody chooses."""


def engine(manifests: list[Manifest]) -> set[str]:
    return kinds(manifests) & {"MutatingWebhookConfiguration", "MutatingAdmissionPolicy"}


def test_lint_finds_nothing(helm: Helm) -> None:
    for values in ({}, EVERYTHING, {"watchNamespaces": ["team-a"]}):
        said = helm("lint", "--strict", str(CHART), values=values)

        assert "0 chart(s) failed" in said
        assert "[WARNING]" not in said
        assert "[ERROR]" not in said


@pytest.mark.parametrize(
    ("flags", "chosen"),
    [
        (("--kube-version=1.31.0",), "MutatingWebhookConfiguration"),
        (("--kube-version=1.35.4",), "MutatingWebhookConfiguration"),
        (("--kube-version=v1.35.4-gke.100",), "MutatingWebhookConfiguration"),
        (("--kube-version=1.35.4", POLICY_API), "MutatingAdmissionPolicy"),
        (("--kube-version=1.36.0",), "MutatingAdmissionPolicy"),
        (("--kube-version=v1.36.0-eks-1234",), "MutatingAdmissionPolicy"),
        (("--kube-version=1.37.2", POLICY_API), "MutatingAdmissionPolicy"),
    ],
    ids=str,
)
def test_auto_takes_the_policies_where_the_cluster_has_them(helm: Helm, flags: tuple[str, ...], chosen: str) -> None:
    assert engine(helm.manifests(None, *flags)) == {chosen}


@pytest.mark.parametrize("version", ["1.31.0", "1.37.2"])
def test_an_engine_that_is_named_is_taken_whatever_the_version(helm: Helm, version: str) -> None:
    flag = f"--kube-version={version}"

    assert engine(helm.manifests({"injection": {"engine": "Webhook"}}, flag)) == {"MutatingWebhookConfiguration"}
    assert engine(helm.manifests({"injection": {"engine": "AdmissionPolicy"}}, flag)) == {"MutatingAdmissionPolicy"}


def test_a_kubernetes_is_refused_that_is_older_than_the_oldest_tested(helm: Helm) -> None:
    major, minor, _ = pins.OLDEST_KUBERNETES.split(".")

    helm.render(None, f"--kube-version={major}.{minor}.0")
    with pytest.raises(HelmError, match=rf"requires kubeVersion: >={major}\.{minor}\.0-0"):
        helm.render(None, f"--kube-version={major}.{int(minor) - 1}.9")


def test_by_default_it_is_the_operator_for_the_whole_cluster_and_nothing_beside(helm: Helm) -> None:
    manifests = helm.manifests(None, "--kube-version=1.37.2")

    assert list(workloads(manifests)) == ["operator"]
    assert kinds(manifests) - CLUSTER_WIDE == {
        "CustomResourceDefinition",
        "Deployment",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Role",
        "RoleBinding",
        "Service",
        "ServiceAccount",
    }
    assert named(manifests, "Deployment", NAME)["spec"]["replicas"] == 2


def test_one_replica_has_no_disruption_budget_that_would_keep_its_node_from_being_drained(helm: Helm) -> None:
    alone = {"replicas": 1}

    assert "PodDisruptionBudget" not in kinds(helm.manifests({**EVERYTHING, "operator": alone, "webhook": alone}))


def test_the_crd_is_the_generated_one_and_is_kept(helm: Helm) -> None:
    crd = named(helm.manifests(), "CustomResourceDefinition", f"{names.PLURAL}.{names.GROUP}")

    assert crd["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert crd == yaml.safe_load((CHART.parents[2] / "crds" / "buildkitbuilders.yaml").read_text())


def test_without_the_crd_nothing_else_is_missing(helm: Helm) -> None:
    everything = helm.manifests()

    without = helm.manifests({"crds": {"enabled": False}})

    assert [m for m in everything if m["kind"] != "CustomResourceDefinition"] == without


def test_pods_settings_reach_all_pods(helm: Helm) -> None:
    values: Manifest = {
        "image": {"repository": "registry.example.com/bko", "tag": "v9", "pullPolicy": "Always"},
        "imagePullSecrets": [{"name": "pull"}],
        "nodeSelector": {"pool": "ci"},
        "tolerations": [{"key": "ci", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "podAnnotations": {"example.com/note": "yes"},
        "podLabels": {"team": "platform", "app.kubernetes.io/name": "mine"},
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy"}],
        "logLevel": "debug",
        "logFormat": "text",
        "watchNamespaces": ["team-a", "team-b"],
    }
    templates = workloads(helm.manifests({**EVERYTHING, **values}))

    assert sorted(templates) == ["operator", "webhook"]
    for template in templates.values():
        (container,) = template["spec"]["containers"]
        assert container["image"] == "registry.example.com/bko:v9"
        assert container["imagePullPolicy"] == "Always"
        for key in ("imagePullSecrets", "nodeSelector", "tolerations", "affinity"):
            assert template["spec"][key] == values[key]
        assert template["metadata"]["annotations"] == values["podAnnotations"]
        assert template["metadata"]["labels"]["team"] == "platform"
        assert {"name": "HTTPS_PROXY", "value": "http://proxy"} in container["env"]
        read = settings.read(template)
        assert read.log_level == "debug"
        assert read.log_format == "text"
        assert read.watch_namespaces == ("team-a", "team-b")


def test_a_priority_class_of_the_systems_comes_with_the_quota_that_allows_it(helm: Helm) -> None:
    webhook = {"injection": {"engine": "Webhook"}}
    usual = helm.manifests(webhook)
    other = helm.manifests({**webhook, "webhook": {"priorityClassName": "ours"}})

    (quota,) = (manifest for manifest in usual if manifest["kind"] == "ResourceQuota")
    assert quota["spec"]["scopeSelector"]["matchExpressions"] == [
        {"scopeName": "PriorityClass", "operator": "In", "values": ["system-cluster-critical"]}
    ]
    assert workloads(usual)["webhook"]["spec"]["priorityClassName"] == "system-cluster-critical"
    assert "priorityClassName" not in workloads(usual)["operator"]["spec"]
    assert workloads(other)["webhook"]["spec"]["priorityClassName"] == "ours"
    assert "ResourceQuota" not in kinds(other)


def test_the_operators_settings_reach_it(helm: Helm) -> None:
    values = {"clusterDomain": "example.internal", "buildkitImage": "buildkit:1", "connectorImage": "haproxy:3"}

    read = settings.read(workloads(helm.manifests(values))["operator"])

    assert isinstance(read, Settings)
    assert read.cluster_domain == "example.internal"
    assert read.buildkit_image == "buildkit:1"
    assert read.connector_image == "haproxy:3"


def test_labels_of_the_user_never_change_who_is_selected(helm: Helm) -> None:
    ours = {"app.kubernetes.io/name": "mine", "app.kubernetes.io/instance": "mine"}
    manifests = helm.manifests({**EVERYTHING, "podLabels": ours})

    for manifest in manifests:
        if manifest["kind"] == "Deployment":
            spec = manifest["spec"]
            assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()


def test_daemons_are_scraped_in_the_namespaces_served(helm: Helm) -> None:
    def scraped(values: Manifest) -> Manifest:
        found: Manifest = named(helm.manifests(values), "PodMonitor", f"{NAME}-daemons")["spec"]["namespaceSelector"]
        return found

    assert scraped(EVERYTHING) == {"any": True}
    assert scraped({**EVERYTHING, "watchNamespaces": ["team-a", "team-b"]}) == {"matchNames": ["team-a", "team-b"]}


@pytest.mark.parametrize("engine", ["AdmissionPolicy", "Webhook"])
def test_no_two_releases_make_the_same_object(helm: Helm, engine: str) -> None:
    values = {**EVERYTHING, "injection": {"engine": engine}, "crds": {"enabled": False}}
    releases = [
        (NAME, NAME),
        (NAME, "tools"),
        ("ci", NAME),
        ("ci", "tools"),
        ("buildkit-operator-2", NAME),
        ("c.i", "x"),
    ]
    releases += [("r" * 53, "n" * 63), (f"{'r' * 52}s", "n" * 63), ("a" * 53, "a" * 62), ("a" * 52, "a" * 63)]
    seen: dict[tuple[str, str, str], tuple[str, str]] = {}
    for release, namespace in releases:
        for manifest in helm.manifests(values, release=release, namespace=namespace):
            metadata = manifest["metadata"]
            cluster_wide = manifest["kind"] in CLUSTER_WIDE
            assert metadata.get("namespace") == (None if cluster_wide else namespace)
            key = (manifest["kind"], metadata.get("namespace", ""), metadata["name"])
            assert seen.setdefault(key, (release, namespace)) == (release, namespace)
            assert len(metadata["name"]) <= 63
            if cluster_wide:
                # By this the operator knows a refusal of its own engine: names.ENGINE_SIGNS.
                assert metadata["name"].startswith(NAME)


def test_a_release_of_another_name_is_the_same_throughout(helm: Helm) -> None:
    manifests = helm.manifests(EVERYTHING, release="ci", namespace="tools")

    assert named(manifests, "Deployment", "ci-buildkit-operator")["metadata"]["namespace"] == "tools"
    operator, webhook = (settings.read(workloads(manifests)[name]) for name in ("operator", "webhook"))
    assert isinstance(operator, Settings)
    assert isinstance(webhook, WebhookSettings)
    assert operator.lease_name == "ci-buildkit-operator"
    name = webhook.webhook_name
    assert name == "buildkit-operator-tools-ci-webhook"
    configuration = named(manifests, "MutatingWebhookConfiguration", name)
    service = named(manifests, "Service", name)
    for asked in configuration["webhooks"]:
        called = asked["clientConfig"]["service"]
        assert (called["namespace"], called["name"]) == ("tools", name)
        assert called["port"] in [port["port"] for port in service["spec"]["ports"]]
        assert "caBundle" not in asked["clientConfig"]
    (rights,) = [m for m in manifests if m["kind"] == "Role" and m["rules"][0]["resources"] == ["secrets"]]
    assert rights["rules"][0]["resourceNames"] == [name]
    accounts = {m["metadata"]["name"] for m in manifests if m["kind"] == "ServiceAccount"}
    for manifest in manifests:
        if manifest["kind"].endswith("RoleBinding"):
            (subject,) = manifest["subjects"]
            if manifest["metadata"]["name"] == "ci-buildkit-operator-lease":  # other installations look at it
                assert subject["name"] == "system:serviceaccounts"
            else:
                assert subject["name"] in accounts
                assert subject["namespace"] == "tools"
            assert manifest["roleRef"]["name"] in {
                m["metadata"]["name"] for m in manifests if m["kind"] == manifest["roleRef"]["kind"]
            }
    assert {t["spec"]["serviceAccountName"] for t in workloads(manifests).values()} == accounts


@pytest.mark.parametrize("engine", ["AdmissionPolicy", "Webhook"])
def test_no_engine_looks_at_the_releases_own_namespace(helm: Helm, engine: str) -> None:
    manifests = helm.manifests({"injection": {"engine": engine}}, namespace="tools")

    matched = [selector for manifest in manifests for selector in namespace_selectors(manifest)]
    assert len(matched) == (5 if engine == "AdmissionPolicy" else 3)
    for expressions in matched:
        assert [e for e in expressions if e["key"] == "kubernetes.io/metadata.name"] == [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", "tools"]}
        ]


def namespace_selectors(manifest: Manifest) -> list[list[Manifest]]:
    """Return the namespaces that each part of an engine looks at, as expressions."""
    spec = manifest.get("spec", {}).get("matchConstraints")
    if manifest["metadata"]["name"].endswith(("-probe", "-daemons")):  # no engine, and for every namespace
        return []
    return [
        part["namespaceSelector"]["matchExpressions"] for part in ([spec] if spec else manifest.get("webhooks", []))
    ]


def test_every_policy_is_bound(helm: Helm) -> None:
    manifests = helm.manifests({"injection": {"engine": "AdmissionPolicy"}}, release="ci")

    for kind in ("MutatingAdmissionPolicy", "ValidatingAdmissionPolicy"):
        policies = {m["metadata"]["name"] for m in manifests if m["kind"] == kind}
        assert policies
        assert {m["spec"]["policyName"] for m in manifests if m["kind"] == f"{kind}Binding"} == policies


@pytest.mark.parametrize("engine", ["AdmissionPolicy", "Webhook"])
def test_for_some_namespaces_only_rights_are_in_them_alone(helm: Helm, engine: str) -> None:
    values = {**EVERYTHING, "injection": {"engine": engine}, "watchNamespaces": ["team-a", "team-b"]}
    manifests = helm.manifests(values)

    bound = {m["roleRef"]["name"] for m in manifests if m["kind"] == "ClusterRoleBinding"}
    rules = [
        rule for m in manifests if m["kind"] == "ClusterRole" and m["metadata"]["name"] in bound for rule in m["rules"]
    ]
    configuration = {
        "apiGroups": ["admissionregistration.k8s.io"],
        "resources": ["mutatingwebhookconfigurations"],
        "resourceNames": ["buildkit-operator-webhook"],
        "verbs": ["get", "watch", "patch"],
    }
    assert rules == ([configuration] if engine == "Webhook" else [])
    roles = {(m["metadata"]["namespace"], m["metadata"]["name"]) for m in manifests if m["kind"] == "Role"}
    accounts = [NAME, *([f"{NAME}-webhook"] if engine == "Webhook" else [])]
    own = {(NAME, account) for account in accounts} | {(NAME, f"{NAME}-lease")}
    assert roles == {(team, account) for team in ("team-a", "team-b") for account in accounts} | own


@pytest.mark.parametrize("engine", ["AdmissionPolicy", "Webhook"])
def test_for_some_namespaces_only_no_engine_looks_at_others(helm: Helm, engine: str) -> None:
    manifests = helm.manifests({"injection": {"engine": engine}, "watchNamespaces": ["team-a", "team-b"]})

    only = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["team-a", "team-b"]}
    assert all(only in expressions for manifest in manifests for expressions in namespace_selectors(manifest))
