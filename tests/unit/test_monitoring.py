"""Alerts and dashboard ask for what our processes export, and every alert says what to do about it."""

import json
import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from buildkit_operator.admission.review import WebhookName
from buildkit_operator.api import names
from buildkit_operator.controller.metrics import BuilderStateCollector
from buildkit_operator.controller.watched import BUILDERS
from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.metrics import ControllerMetrics
from buildkit_operator.exporter.collector import BuilderCollector
from buildkit_operator.exporter.scrapers import Scrapers
from buildkit_operator.exporter.targets import KINDS, DaemonPod
from buildkit_operator.webhook.handler import RESULTS
from buildkit_operator.webhook.metrics import WebhookMetrics

TOP = Path(__file__).parents[2]
COMPONENT = TOP / "deploy/kustomize/components/monitoring"
ALERTS = yaml.safe_load((COMPONENT / "alerts.yaml").read_text())["spec"]["groups"][0]["rules"]
DASHBOARD = json.loads((COMPONENT / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [
    *(pytest.param(alert["expr"], id=alert["alert"]) for alert in ALERTS),
    *(pytest.param(target["expr"], id=panel["title"]) for panel in PANELS for target in panel["targets"]),
]
OF_THE_TARGET = {"instance", "job", "pod", "namespace"}
"""Labels that Prometheus adds."""


def exported() -> dict[str, set[str]]:
    """Return the labels of every series that the three processes export, by its name."""
    found: dict[str, set[str]] = {}
    controller = ControllerMetrics(names.METRICS_PREFIX, "1", names.SINGULAR)
    for metrics in (controller, WebhookMetrics(WebhookName, RESULTS, lambda: True)):
        for collector, series in metrics.registry._collector_to_names.items():
            labels = set(getattr(collector, "_labelnames", ()))
            found |= {name: labels | {"le"} if name.endswith("_bucket") else labels for name in series}

    def make_scraper(_pod: DaemonPod) -> Any:
        raise AssertionError("there is no daemon")

    for families in (
        BuilderStateCollector(Cache(BUILDERS)).collect(),
        BuilderCollector(Scrapers(Cache(KINDS), make_scraper)).collect(),
    ):
        found |= {family.name: set(getattr(family, "_labelnames", ())) for family in families}
    return found


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


def test_the_dashboards_variables_are_exported() -> None:
    (query,) = (v["query"]["query"] for v in DASHBOARD["templating"]["list"] if v["type"] == "query")

    ((metric, label),) = re.findall(r"^label_values\((\w+), (\w+)\)$", query)
    assert label in EXPORTED[metric]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_an_alert_tells_how_bad_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert {"summary", "description", "runbook_url"} == set(alert["annotations"])
    assert alert["annotations"]["runbook_url"] == (
        f"https://buildkit-operator.dev/monitoring/#{alert['alert'].lower()}"
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
