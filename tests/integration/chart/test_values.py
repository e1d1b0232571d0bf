"""Every value of the chart does something, every other key is refused, and the files say the same as the schema."""

from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from buildkit_operator import __version__
from hack.generate import chart, published
from tests.support.helm import CHART, Helm, HelmError

Path = tuple[str, ...]
Values = dict[str, Any]

WEBHOOK: Final[Values] = {"injection": {"engine": "Webhook"}}
RESOURCES: Final = {"requests": {"cpu": "77m"}}

LABELS: Final = {"release": "prometheus"}


def monitoring(what: str) -> Values:
    return {"monitoring": {what: {"enabled": True}}}


# Another value for each, what is to be read in the rendering then, and the values it needs beside it.
OTHERS: Final[dict[str, tuple[object, str, Values]]] = {
    "image.repository": ("registry.example.com/bko", "image: registry.example.com/bko:", {}),
    "image.tag": ("v9", ":v9\n", {}),
    "image.digest": (f"sha256:{'a' * 64}", f"@sha256:{'a' * 64}\n", {}),
    "image.pullPolicy": ("Always", "imagePullPolicy: Always", {}),
    "imagePullSecrets": ([{"name": "pull"}], "imagePullSecrets:\n      - name: pull\n", {}),
    "fullnameOverride": ("bko", "kind: Deployment\nmetadata:\n  name: bko\n", {}),
    "crds.enabled": (False, "", {}),
    "injection.engine": ("Webhook", "kind: MutatingWebhookConfiguration", {}),
    "watchNamespaces": (["team-a", "team-b"], 'WATCH_NAMESPACES, value: "team-a,team-b"', {}),
    "clusterDomain": ("example.internal", 'CLUSTER_DOMAIN, value: "example.internal"', {}),
    "certificates.dnsNames": (
        ["*.ci.example.com", "a.org"],
        'CERTIFICATE_DNS_NAMES, value: "*.ci.example.com,a.org"',
        {},
    ),
    "certificates.issuers": (["ClusterIssuer/builds"], 'CERTIFICATE_ISSUERS, value: "ClusterIssuer/builds"', {}),
    "buildkitImage": (
        "registry.example.com/buildkit:1",
        'BUILDKIT_IMAGE, value: "registry.example.com/buildkit:1"',
        {},
    ),
    "connectorImage": (
        "registry.example.com/haproxy:3",
        'CONNECTOR_IMAGE, value: "registry.example.com/haproxy:3"',
        {},
    ),
    "daemonResources": (RESOURCES, r'DAEMON_RESOURCES, value: "{\"requests\":{\"cpu\":\"77m\"}}"', {}),
    "connectorResources": (RESOURCES, r'CONNECTOR_RESOURCES, value: "{\"requests\":{\"cpu\":\"77m\"}}"', {}),
    "logLevel": ("debug", "LOG_LEVEL, value: debug", {}),
    "logFormat": ("text", "LOG_FORMAT, value: text", {}),
    "userRoles.enabled": (False, "", {}),
    "operator.replicas": (3, "replicas: 3", {}),
    "operator.resources": (RESOURCES, "cpu: 77m", {}),
    "webhook.replicas": (3, "replicas: 3", WEBHOOK),
    "webhook.resources": (RESOURCES, "cpu: 77m", WEBHOOK),
    "monitoring.serviceMonitors.enabled": (True, "kind: ServiceMonitor", {}),
    "monitoring.serviceMonitors.labels": (LABELS, "release: prometheus", monitoring("serviceMonitors")),
    "monitoring.podMonitor.enabled": (True, "kind: PodMonitor", {}),
    "monitoring.podMonitor.labels": (LABELS, "release: prometheus", monitoring("podMonitor")),
    "monitoring.alerts.enabled": (True, "kind: PrometheusRule", {}),
    "monitoring.alerts.labels": (LABELS, "release: prometheus", monitoring("alerts")),
    "monitoring.dashboard.enabled": (True, 'grafana_dashboard: "1"', {}),
    "monitoring.dashboard.labels": (LABELS, "release: prometheus", monitoring("dashboard")),
    "nodeSelector": ({"pool": "ci"}, "nodeSelector:\n        pool: ci\n", {}),
    "tolerations": ([{"key": "ci", "operator": "Exists"}], "tolerations:\n      - key: ci\n", {}),
    "affinity": ({"nodeAffinity": {}}, "affinity:\n        nodeAffinity: {}\n", {}),
    "operator.priorityClassName": ("ci-critical", 'priorityClassName: "ci-critical"', {}),
    "webhook.priorityClassName": ("ci-critical", 'priorityClassName: "ci-critical"', WEBHOOK),
    "networkPolicies.enabled": (False, "", {}),
    "networkPolicies.metricsFrom": (
        [{"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}],
        "from:\n    - namespaceSelector:\n        matchLabels:\n          team: monitoring\n",
        {},
    ),
    "networkPolicies.egress": ([{"to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}]}], "cidr: 10.0.0.1/32", {}),
    "podAnnotations": ({"example.com/a": "b"}, "annotations:\n        example.com/a: b\n", {}),
    "podLabels": ({"team": "platform"}, "        team: platform\n", {}),
    "extraEnv": ([{"name": "HTTPS_PROXY", "value": "http://proxy"}], "- name: HTTPS_PROXY\n", {}),
}


def leaves() -> list[str]:
    return [".".join(path) for path, _ in chart.leaves(chart.schema())]


def objects(of: Values, path: Path = ()) -> Iterator[Path]:
    """Yield where the schema has an object that says which keys it may have."""
    if of.get("additionalProperties") is False:
        yield path
    for key, value in of.get("properties", {}).items():
        yield from objects(value, (*path, key))


def at(path: Path, value: object) -> Values:
    """Return values that have only this."""
    for key in reversed(path):
        value = {key: value}
    assert isinstance(value, dict)
    return value


def merged(one: Values, other: Values) -> Values:
    both = {**one, **other}
    for key in one.keys() & other.keys():
        if isinstance(one[key], dict) and isinstance(other[key], dict):
            both[key] = merged(one[key], other[key])
    return both


def test_all_values_are_tried() -> None:
    assert sorted(OTHERS) == sorted(leaves())


@pytest.mark.parametrize("name", leaves())
def test_a_value_does_something(helm: Helm, name: str) -> None:
    value, text, beside = OTHERS[name]

    before = helm.render(beside)
    after = helm.render(merged(beside, at(tuple(name.split(".")), value)))

    assert after != before
    assert text not in before or not text
    assert text in after


@pytest.mark.parametrize("path", list(objects(chart.schema())), ids=".".join)
def test_a_key_that_nobody_knows_is_refused(helm: Helm, path: Path) -> None:
    with pytest.raises(HelmError, match="additional properties 'replcas' not allowed"):
        helm.render(at((*path, "replcas"), 1))


@pytest.mark.parametrize("name", ["operator.resources", "webhook.resources"])
def test_a_misspelt_kind_of_resources_is_refused(helm: Helm, name: str) -> None:
    with pytest.raises(HelmError, match="additional properties 'limit' not allowed"):
        helm.render(at(tuple(name.split(".")), {"limit": {"cpu": 1}}))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"injection": {"engine": "webhook"}}, "value must be one of 'Auto', 'AdmissionPolicy', 'Webhook'"),
        ({"logLevel": "verbose"}, "value must be one of 'debug', 'info', 'warning', 'error'"),
        ({"operator": {"replicas": "two"}}, "got string, want integer"),
        ({"webhook": {"replicas": 0}}, "minimum: got 0, want 1"),
        ({"watchNamespaces": "team-a"}, "got string, want array"),
        ({"watchNamespaces": ["Team A"]}, "'Team A' does not match pattern"),
        ({"certificates": {"dnsNames": ["*corp"]}}, "'*corp' does not match pattern"),
        ({"certificates": {"issuers": ["corp-ca"]}}, "'corp-ca' does not match pattern"),
        ({"image": {"digest": "abc"}}, "'abc' does not match pattern"),
        ({"image": {"repository": "https://registry.test/ours"}}, "does not match pattern"),
        (
            {"image": {"repository": ""}},
            "image.repository is empty. Build the operator's",
        ),
        ({"monitoring": {"podMonitor": {"enabled": "false"}}}, "got string, want boolean"),
        ({"podAnnotations": {"a": True}}, "got boolean, want string"),
        (
            {"watchNamespaces": ["buildkit-operator"]},
            "watchNamespaces has buildkit-operator, the release's own namespace",
        ),
    ],
    ids=str,
)
def test_a_refusal_says_what_is_wrong(helm: Helm, values: Values, said: str) -> None:
    with pytest.raises(HelmError) as refused:
        helm.render(values)

    assert said in str(refused.value)


def test_without_an_image_the_chart_is_installed_only_where_one_is_released(helm: Helm) -> None:
    if published.setting().released:
        assert published.setting().image in helm("template", "any", str(CHART))
        return

    for verb in ("template", "install"):
        with pytest.raises(HelmError, match=r"image\.repository is empty\. Build the operator's image"):
            helm(verb, "any", str(CHART), *(["--dry-run=client"] if verb == "install" else []))


def test_every_value_has_a_description_and_a_default() -> None:
    def described(of: Values) -> Iterator[str]:
        for key, value in of["properties"].items():
            assert value["description"].endswith("."), key
            if "properties" in value:
                assert value["additionalProperties"] is False, key
                yield from described(value)
            elif key != "global":
                assert "default" in value, key
                yield key

    assert len(list(described(chart.schema()))) == len(OTHERS)


def test_values_yaml_has_the_defaults_of_the_schema() -> None:
    read = yaml.safe_load((CHART / "values.yaml").read_text())

    for path, value in chart.leaves(chart.schema()):
        found = read
        for key in path:
            found = found[key]
        assert found == value["default"], path
    assert (CHART / "values.yaml").read_text() == chart.values_yaml(chart.schema())


def test_the_readme_lists_all_values() -> None:
    assert chart.table(chart.schema()) in (CHART / "README.md").read_text()


def test_the_version_is_the_projects_everywhere() -> None:
    text = (CHART / "Chart.yaml").read_text()
    read = yaml.safe_load(text)

    assert read["version"] == read["appVersion"] == __version__
    assert chart.with_version(text) == text
    assert chart.with_version(text.replace(__version__, "0.0.1")) == text


def test_what_is_copied_is_the_same() -> None:
    for name, source in chart.COPIES.items():
        assert (CHART / "files" / name).read_bytes() == source.read_bytes()
    assert {file.name for file in (CHART / "files").iterdir()} == chart.COPIES.keys()
