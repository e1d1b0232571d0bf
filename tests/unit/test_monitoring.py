"""Alerts, dashboard and samples ask for what there is to scrape, and every alert says what to do about it."""

import json
import re
from pathlib import Path
from typing import Any, Final

import promql_parser
import pytest
import yaml

from buildkit_operator.admission.review import WebhookName
from buildkit_operator.api import names
from buildkit_operator.controller.metrics import BuilderStateCollector
from buildkit_operator.controller.watched import BUILDERS
from buildkit_operator.desired.front import config_map
from buildkit_operator.desired.scripts import FRONT_SCRIPTS
from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.metrics import ControllerMetrics
from buildkit_operator.webhook.handler import RESULTS
from buildkit_operator.webhook.metrics import WebhookMetrics
from tests.unit.make import children_of, make_builder

TOP = Path(__file__).parents[2]
COMPONENT = TOP / "deploy/kustomize/components/monitoring"
SCALED = yaml.safe_load((TOP / "deploy/samples/scaling/scaledobject-prometheus.yaml").read_text())
POD_MONITOR = yaml.safe_load((COMPONENT / "podmonitor.yaml").read_text())["spec"]
ENDPOINTS = {endpoint["path"]: endpoint for endpoint in POD_MONITOR["podMetricsEndpoints"]}
ALERTS = yaml.safe_load((COMPONENT / "alerts.yaml").read_text())["spec"]["groups"][0]["rules"]
DASHBOARD = json.loads((COMPONENT / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [
    *(pytest.param(alert["expr"], id=alert["alert"]) for alert in ALERTS),
    *(pytest.param(target["expr"], id=panel["title"]) for panel in PANELS for target in panel["targets"]),
    *(pytest.param(trigger["metadata"]["query"], id="KEDA") for trigger in SCALED["spec"]["triggers"]),
]
OF_THE_TARGET = {"instance", "job", "pod", "namespace"}
"""Labels that Prometheus adds."""
OF_THE_POD = {"namespace", "pod"} | {
    rule["targetLabel"] for endpoint in ENDPOINTS.values() for rule in endpoint["relabelings"]
}
"""Labels that all series of a daemon's pod have, by our PodMonitor."""

OF_BUILDKIT: Final[dict[str, set[str]]] = {
    "buildkit_builds_total": {"status", "error_code"},
    "buildkit_builds_steps_total": {"kind"},
    # A native histogram. Where it is scraped as text it has no buckets, but a sum and a count.
    "buildkit_build_duration_seconds": {"status"},
    "buildkit_build_duration_seconds_sum": {"status"},
    "buildkit_build_duration_seconds_count": {"status"},
}
"""Those that are asked for of what BuildKit 0.34.2 tells. tests/e2e/test_metrics.py sees them."""

OF_HAPROXY: Final[dict[str, set[str]]] = {
    "haproxy_frontend_bytes_in_total": {"proxy"},
    "haproxy_frontend_bytes_out_total": {"proxy"},
}
"""Those that are asked for of what HAProxy tells: addons/promex/README."""

OF_KUBELET: Final[dict[str, set[str]]] = {"kubelet_volume_stats_used_bytes": {"persistentvolumeclaim"}}
"""Those of the kubelet, which scrapes of nodes have."""


def of_front() -> dict[str, set[str]]:
    """Return the labels of every series of the front, as its script has them."""
    script = FRONT_SCRIPTS["front.lua"]
    (prefix,) = re.findall(r'name = "(\w+)" \.\. name', script)
    return {f"{prefix}{name}": OF_THE_POD for name in re.findall(r'\badd\("(\w+)", "(?:gauge|counter)"', script)}


FRONT: Final = of_front()
BY_PATH: Final = {"/front": FRONT, "/metrics": OF_BUILDKIT, "/haproxy": OF_HAPROXY}
"""What a daemon's pod serves."""


def exported() -> dict[str, set[str]]:
    """Return the labels of every series that there is to scrape, by its name."""
    found = {name: labels | OF_THE_POD for series in BY_PATH.values() for name, labels in series.items()} | OF_KUBELET
    controller = ControllerMetrics(names.METRICS_PREFIX, "1", names.SINGULAR)
    for metrics in (controller, WebhookMetrics(WebhookName, RESULTS, lambda: True)):
        for collector, series in metrics.registry._collector_to_names.items():
            labels = set(getattr(collector, "_labelnames", ()))
            found |= {name: labels | {"le"} if name.endswith("_bucket") else labels for name in series}
    families = BuilderStateCollector(Cache(BUILDERS)).collect()
    return found | {family.name: set(getattr(family, "_labelnames", ())) for family in families}


EXPORTED = exported()


def nodes(expression: str | promql_parser.Expr) -> list[promql_parser.Expr]:
    """Return all parts of an expression, with what Grafana puts in the place of its variables."""
    found: list[promql_parser.Expr] = []

    def note(node: promql_parser.Expr) -> bool:
        found.append(node.vector_selector if isinstance(node, promql_parser.MatrixSelector) else node)
        return True

    whole = expression
    if isinstance(whole, str):
        whole = promql_parser.parse(whole.replace("$__rate_interval", "5m"))
    promql_parser.walk(whole, note)
    return found


def labels_of(expression: str | promql_parser.Expr) -> list[set[str]]:
    """Return the labels of each series that an expression asks for. Raises KeyError for one that nobody exports."""
    return [EXPORTED[str(node.name)] for node in nodes(expression) if isinstance(node, promql_parser.VectorSelector)]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_metric_and_label_that_is_asked_for_is_exported(expression: str) -> None:
    assert labels_of(expression)
    for node in nodes(expression):
        if isinstance(node, promql_parser.VectorSelector):
            asked = {matcher.name for matcher in node.matchers.matchers}
            assert asked <= EXPORTED[str(node.name)] | OF_THE_TARGET
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier is not None:
            assert set(node.modifier.labels) <= set.union(*labels_of(node.expr)) | OF_THE_TARGET


def test_the_front_tells_what_it_counts() -> None:
    assert FRONT.keys() >= {"buildkit_front_builds", "buildkit_front_queued", "buildkit_front_refused_total"}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_a_frontend_that_is_asked_for_is_in_the_configuration(expression: str) -> None:
    configured = set(re.findall(r"^frontend (\w+)$", config_map(make_builder())["data"]["haproxy.cfg"], re.MULTILINE))

    for node in nodes(expression):
        if isinstance(node, promql_parser.VectorSelector) and node.name in OF_HAPROXY:
            assert {matcher.value for matcher in node.matchers.matchers if matcher.name == "proxy"} <= configured


@pytest.mark.parametrize("claim", [None, {}], ids=["Deployment", "StatefulSet"])
def test_all_pods_of_daemons_are_scraped_at_a_port_that_they_have(claim: dict[str, Any] | None) -> None:
    cache = {"size": "20Gi"} if claim is None else {"size": "20Gi", "persistentVolumeClaim": claim}
    (template,) = (
        child["spec"]["template"]
        for child in children_of(make_builder(cache=cache))
        if child["kind"] in {"Deployment", "StatefulSet"}
    )
    labels, selector = template["metadata"]["labels"], POD_MONITOR["selector"]
    (daemon,) = template["spec"]["containers"]

    assert selector["matchLabels"].items() <= labels.items()
    assert all(wanted["operator"] == "Exists" and wanted["key"] in labels for wanted in selector["matchExpressions"])
    assert {endpoint["port"] for endpoint in ENDPOINTS.values()} <= {port["name"] for port in daemon["ports"]}


@pytest.mark.parametrize("path", ENDPOINTS)
def test_a_series_has_the_builder_of_its_pod_and_the_path_where_it_was_read(path: str) -> None:
    label = re.sub(r"\W", "_", names.OWNER_LABEL)

    assert {rule["targetLabel"]: rule["sourceLabels"] for rule in ENDPOINTS[path]["relabelings"]} == {
        "builder": [f"__meta_kubernetes_pod_label_{label}"],
        "metrics_path": ["__metrics_path__"],
    }


def test_each_path_that_is_scraped_is_served() -> None:
    configuration = config_map(make_builder())["data"]["haproxy.cfg"]

    assert ENDPOINTS.keys() == BY_PATH.keys()
    assert all(f"path {path} }}" in configuration for path in ENDPOINTS)


@pytest.mark.parametrize("path", ENDPOINTS)
def test_what_a_pod_may_tell_at_a_path_is_what_belongs_there_and_nothing_else(path: str) -> None:
    """Whoever edits a builder chooses its image, which could pass itself off as the operator."""
    (kept,) = (re.compile(rule["regex"]) for rule in ENDPOINTS[path]["metricRelabelings"] if rule["action"] == "keep")
    of_others = {name for name in EXPORTED if name.startswith(("buildkit_", "haproxy_"))} - BY_PATH[path].keys()

    assert all(kept.fullmatch(name) for name in BY_PATH[path])
    assert not any(kept.fullmatch(name) for name in of_others)
    assert "honorLabels" not in ENDPOINTS[path]


def test_what_a_pod_tells_is_bounded() -> None:
    bounds = ("bodySizeLimit", "sampleLimit", "labelLimit", "labelValueLengthLimit")

    assert all(POD_MONITOR[bound] for bound in bounds)


def test_the_dashboards_variables_are_exported() -> None:
    (query,) = (v["query"]["query"] for v in DASHBOARD["templating"]["list"] if v["type"] == "query")

    ((metric, label),) = re.findall(r"^label_values\((\w+), (\w+)\)$", query)
    assert label in EXPORTED[metric]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert_tells_how_bad_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert {"summary", "description", "runbook_url"} == set(alert["annotations"])
    assert alert["annotations"]["runbook_url"] == (
        f"https://docs.unreleased.invalid/monitoring/#{alert['alert'].lower()}"
    )
    assert f"\n### {alert['alert']}\n" in (TOP / "docs/monitoring.md").read_text()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert_uses_labels_that_its_series_has(alert: dict[str, Any]) -> None:
    used = set(re.findall(r"\$labels\.(\w+)", " ".join(alert["annotations"].values())))

    assert used <= set.union(*labels_of(alert["expr"]))


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
