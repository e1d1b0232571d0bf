"""Whatever is put together of base, components and overlays renders, and a real API server takes it without a word."""

import itertools
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from subprocess import CalledProcessError
from typing import Any

import pytest

from buildkit_operator.kube.resources import Manifest
from hack.cluster.controlplane import ControlPlane
from hack.generate import kustomize
from hack.generate.paths import INSTALL, KUSTOMIZE
from tests.integration.conftest import CRDS
from tests.integration.installation.conftest import NAMESPACE, WATCHED, Compose, install

OVERLAYS = sorted(folder for folder in (KUSTOMIZE / "overlays").iterdir())
OPTIONAL = ("monitoring", "namespaced")
COMBINATIONS = [
    (engine, *chosen)
    for engine in ("policies", "webhook")
    for count in range(len(OPTIONAL) + 1)
    for chosen in itertools.combinations(OPTIONAL, count)
]
EVERYTHING = ("policies", "webhook", "monitoring")


def kinds(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def rules(manifests: list[Manifest]) -> Iterator[dict[str, Any]]:
    for kind in ("ClusterRole", "Role"):
        for role in kinds(manifests, kind):
            yield from role["rules"]


@pytest.fixture(scope="session")
def everything(compose: Compose) -> list[Manifest]:
    """Return every object that there is, for the whole cluster and for some namespaces."""
    return [
        *kustomize.manifests(compose(*EVERYTHING)),
        *kustomize.manifests(compose(*EVERYTHING, watched=WATCHED)),
    ]


def test_there_is_an_overlay_for_each_way_to_install() -> None:
    assert [folder.name for folder in OVERLAYS] == ["namespaced", "policies", "webhook"]


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda folder: folder.name)
def test_an_overlay_is_accepted(installed: ControlPlane, overlay: Any) -> None:
    said = install(installed, overlay)

    assert said.count("serverside-applied") == len(kustomize.manifests(overlay))


@pytest.mark.parametrize("combination", COMBINATIONS, ids="+".join)
def test_a_combination_is_accepted(installed: ControlPlane, compose: Compose, combination: tuple[str, ...]) -> None:
    components = [name for name in combination if name != "namespaced"]
    overlay = compose(*components, watched=WATCHED if "namespaced" in combination else ())

    said = install(installed, overlay)

    assert said.count("serverside-applied") == len(kustomize.manifests(overlay))


def test_what_pod_security_warns_of_is_an_error_here(installed: ControlPlane, tmp_path: Any) -> None:
    (tmp_path / "operator.yaml").write_text(
        (KUSTOMIZE / "base/operator.yaml").read_text().replace("runAsNonRoot: true", "runAsNonRoot: false")
    )
    (tmp_path / "kustomization.yaml").write_text("resources: [operator.yaml]\n")

    with pytest.raises(CalledProcessError) as failure:
        install(installed, tmp_path)

    assert 'would violate PodSecurity "restricted' in failure.value.stderr


def test_a_component_is_added_by_itself(installed: ControlPlane) -> None:
    for component in EVERYTHING:
        assert "serverside-applied" in install(installed, KUSTOMIZE / "components" / component)


def test_install_yaml_is_the_overlay_with_the_policies() -> None:
    assert INSTALL.read_text() == kustomize.header() + kustomize.render(KUSTOMIZE / "overlays/policies")


def test_the_bases_crds_are_those_of_the_checkout() -> None:
    copies = {file.name: file.read_text() for file in (KUSTOMIZE / "base/crds").iterdir()}

    assert copies == {file.name: file.read_text() for file in CRDS.iterdir()}


def test_no_manifest_carries_a_ca_bundle(everything: list[Manifest]) -> None:
    webhooks = [hook for manifest in everything for hook in manifest.get("webhooks", ())]

    assert len(webhooks) == 6
    assert all("caBundle" not in webhook["clientConfig"] for webhook in webhooks)


def test_one_entry_of_images_gives_all_pods_another_image(compose: Compose) -> None:
    overlay = compose(*EVERYTHING)
    with (overlay / "kustomization.yaml").open("a") as file:
        file.write("images: [{name: unreleased.invalid/buildkit-operator, newName: registry.test/ours, newTag: '9'}]")

    deployments = kinds(kustomize.manifests(overlay), "Deployment")

    pods = [deployment["spec"]["template"]["spec"] for deployment in deployments]
    assert [container["image"] for pod in pods for container in pod["containers"]] == ["registry.test/ours:9"] * 2


# Rights


def test_no_right_is_a_wildcard(everything: list[Manifest]) -> None:
    for rule in rules(everything):
        assert not any("*" in word for words in rule.values() for word in words)
        assert set(rule) <= {"apiGroups", "resources", "resourceNames", "verbs"}


def test_no_right_lists_secrets_and_only_a_single_one_is_watched(everything: list[Manifest]) -> None:
    of_secrets = [rule for rule in rules(everything) if "secrets" in rule["resources"]]

    assert of_secrets
    for rule in of_secrets:
        assert not {"list", "deletecollection"} & set(rule["verbs"])
        assert "watch" not in rule["verbs"] or rule["resourceNames"] == ["buildkit-operator-webhook"]


def test_no_right_gives_further_rights(everything: list[Manifest]) -> None:
    for rule in rules(everything):
        assert not {"escalate", "bind", "impersonate"} & set(rule["verbs"])
        assert "rbac.authorization.k8s.io" not in rule["apiGroups"]
        assert "serviceaccounts/token" not in rule["resources"]
        assert not any(resource.startswith("pods/") for resource in rule["resources"])


def test_namespaced_rights_are_those_of_the_whole_cluster_but_one_that_no_role_can_name(compose: Compose) -> None:
    everywhere = kustomize.manifests(compose(*EVERYTHING))
    here = kustomize.manifests(compose(*EVERYTHING, watched=WATCHED))
    roles = {role["metadata"]["name"]: role["rules"] for role in kinds(everywhere, "ClusterRole")}
    left = {role["metadata"]["name"]: role["rules"] for role in kinds(here, "ClusterRole")}

    assert set(left) == {"buildkit-operator-view", "buildkit-operator-edit", "buildkit-operator-webhook"}
    for namespace in WATCHED:
        given = {
            r["metadata"]["name"]: r["rules"] for r in kinds(here, "Role") if r["metadata"]["namespace"] == namespace
        }
        assert set(given) == {"buildkit-operator", "buildkit-operator-webhook"}
        assert {name: rules + left.get(name, []) for name, rules in given.items()} == {
            name: roles[name] for name in given
        }


def test_no_account_of_a_namespaced_installation_is_bound_to_more_than_the_webhooks_own_object(
    compose: Compose,
) -> None:
    bindings = kinds(kustomize.manifests(compose(*EVERYTHING, watched=WATCHED)), "ClusterRoleBinding")

    assert [binding["roleRef"]["name"] for binding in bindings] == ["buildkit-operator-webhook"]


# Our own pods


def test_a_pod_is_hardened_probed_and_bounded(everything: list[Manifest]) -> None:
    deployments = kinds(everything, "Deployment")

    assert {deployment["metadata"]["name"] for deployment in deployments} == {
        "buildkit-operator",
        "buildkit-operator-webhook",
    }
    for deployment in deployments:
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


def test_each_pod_is_reached_on_its_ports_alone(everything: list[Manifest]) -> None:
    policies = kinds(everything, "NetworkPolicy")

    for deployment in kinds(everything, "Deployment"):
        template = deployment["spec"]["template"]
        (policy, *_) = found = [p["spec"] for p in policies if selects(p, template["metadata"]["labels"])]
        # The namespaced overlay has it again.
        assert all(other == policy for other in found)
        assert len(found) == 2
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        reached = {port["port"] for rule in policy["ingress"] for port in rule["ports"]}
        assert reached == {port["name"] for port in template["spec"]["containers"][0]["ports"]}


def selects(policy: Manifest, labels: dict[str, str]) -> bool:
    return bool(policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items())


@pytest.mark.parametrize(
    ("address", "port", "may"),
    [
        ("169.254.169.254", 80, False),
        ("168.63.129.16", 80, False),
        ("10.96.0.1", 443, True),
        ("172.20.0.1", 2040, True),
        ("192.168.0.1", 6443, True),
        ("169.254.20.10", 53, True),
    ],
)
def test_no_pod_reaches_its_nodes_credentials(
    everything: list[Manifest], address: str, port: int, *, may: bool
) -> None:
    policies = kinds(everything, "NetworkPolicy")

    assert policies
    for policy in policies:
        assert any(lets_out(rule, address, port) for rule in policy["spec"]["egress"]) is may


def lets_out(rule: Manifest, address: str, port: int) -> bool:
    """Tell whether a rule of egress lets a connection to an address that is no pod's through."""
    if port not in [named["port"] for named in rule.get("ports", [{"port": port}])]:
        return False
    blocks = [peer["ipBlock"] for peer in rule.get("to", ()) if "ipBlock" in peer]
    return "to" not in rule or any(
        ip_address(address) in ip_network(block["cidr"])
        and not any(ip_address(address) in ip_network(left_out) for left_out in block["except"])
        for block in blocks
    )


def test_only_what_jobs_cannot_do_without_goes_before_others(everything: list[Manifest]) -> None:
    classes = {
        deployment["metadata"]["name"]: deployment["spec"]["template"]["spec"].get("priorityClassName")
        for deployment in kinds(everything, "Deployment")
    }
    quotas = kinds(everything, "ResourceQuota")

    assert {name for name, priority in classes.items() if priority} == {"buildkit-operator-webhook"}
    assert {value for q in quotas for e in q["spec"]["scopeSelector"]["matchExpressions"] for value in e["values"]} == {
        classes["buildkit-operator-webhook"]
    }


def test_what_has_replicas_keeps_one_and_spreads(everything: list[Manifest]) -> None:
    replicated = {d["metadata"]["name"]: d for d in kinds(everything, "Deployment") if d["spec"]["replicas"] > 1}
    budgets = {budget["metadata"]["name"]: budget["spec"] for budget in kinds(everything, "PodDisruptionBudget")}

    assert set(replicated) == set(budgets) == {"buildkit-operator", "buildkit-operator-webhook"}
    for name, deployment in replicated.items():
        selector = {"matchLabels": {"app.kubernetes.io/name": name}}
        assert deployment["spec"]["selector"] == selector
        assert budgets[name] == {"minAvailable": 1, "selector": selector}
        (spread,) = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
        assert spread["labelSelector"] == selector


def test_what_is_scraped_is_a_service_with_that_port(everything: list[Manifest]) -> None:
    services = kinds(everything, "Service")

    for monitor in kinds(everything, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        found = [service for service in services if wanted <= service["metadata"]["labels"].items()]
        assert {service["metadata"]["name"] for service in found} == {monitor["metadata"]["name"]}
        ports = {port["name"] for service in found for port in service["spec"]["ports"]}
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports
        assert all(service["metadata"]["namespace"] == NAMESPACE for service in found)
