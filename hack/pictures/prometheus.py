"""A Prometheus on this machine that scrapes a cluster by its API server, as our monitors say."""

import base64
import json
import re
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from hack.cluster import artifacts
from hack.cluster.processes import Process, free_port

MONITORING: Final = Path(__file__).parents[2] / "deploy/kustomize/components/monitoring"
INTERVAL: Final = "5s"
"""How often it scrapes: more often than the monitors say, as a picture is made of minutes."""
_PODS: Final = "/api/v1/namespaces/$1/pods/$2:$3/proxy$4"
_NAMESPACE: Final = "__meta_kubernetes_namespace"
_POD: Final = "__meta_kubernetes_pod_name"
_PORT: Final = "__meta_kubernetes_pod_container_port"

Rules = list[dict[str, Any]]


class Prometheus:
    """One that runs, asked by its HTTP API."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"

    def ready(self) -> bool:
        """Tell whether it answers."""
        try:
            with urllib.request.urlopen(f"{self._address}/-/ready") as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def range(self, query: str, begin: float, end: float, step: float) -> list[dict[str, Any]]:
        """Return the series of a query, each with `metric` and `values`; Unix times, and a step in seconds."""
        return self._ask("query_range", query=query, start=begin, end=end, step=step)

    def instant(self, query: str, at: float) -> list[dict[str, Any]]:
        """Return what a query gives at a Unix time, each with `metric` and `value`."""
        return self._ask("query", query=query, time=at)

    def _ask(self, what: str, **parameters: object) -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{self._address}/api/v1/{what}?{urllib.parse.urlencode(parameters)}") as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found


@contextmanager
def scraping(kubeconfig: Path) -> Iterator[Prometheus]:
    """Have one scrape the cluster within the block. Raises ProcessError, RecipeError or toolchain.MissingError."""
    program = artifacts.ensure("prometheus")["prometheus"] / "prometheus"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(configuration(kubeconfig, folder)))
        prometheus = Prometheus(port := free_port())
        flags = [f"--config.file={folder / 'prometheus.yaml'}", f"--storage.tsdb.path={folder / 'data'}"]
        process = Process(program, [*flags, f"--web.listen-address=127.0.0.1:{port}"], folder / "log")
        try:
            process.wait_until(prometheus.ready, 60)
            yield prometheus
        finally:
            process.kill()


def configuration(kubeconfig: Path, folder: Path) -> dict[str, Any]:
    """Return Prometheus' configuration for a cluster; the folder gets the administrator's key."""
    access = _access(kubeconfig, folder)
    pods = yaml.safe_load((MONITORING / "podmonitor.yaml").read_text())["spec"]
    daemons = [
        _job(
            f"daemons{endpoint['path']}",
            access,
            "pod",
            [*_kept(pods["selector"], "pod"), *_found("metrics"), *map(_snake, endpoint["relabelings"])],
            endpoint["path"],
            params=endpoint.get("params", {}),
            metric_relabel_configs=[_snake(rule) for rule in endpoint["metricRelabelings"]],
        )
        for endpoint in pods["podMetricsEndpoints"]
    ]
    services = [
        _job(
            monitor["metadata"]["name"],
            access,
            "endpointslice",
            [*_kept(monitor["spec"]["selector"], "service"), *_found("http")],
            honor_labels=monitor["spec"]["endpoints"][0].get("honorLabels", False),
        )
        for monitor in yaml.safe_load_all((MONITORING / "servicemonitors.yaml").read_text())
    ]
    node = {"source_labels": ["__meta_kubernetes_node_name"], "target_label": "__metrics_path__"}
    kubelet = _job("kubelet", access, "node", [node | {"replacement": "/api/v1/nodes/$1/proxy/metrics"}])
    return {
        "global": {"scrape_interval": INTERVAL, "scrape_native_histograms": True},
        "scrape_configs": [*daemons, *services, kubelet],
    }


def _access(kubeconfig: Path, folder: Path) -> dict[str, Any]:
    """Return how the API server is reached, and the place of the files that this needs."""
    found = yaml.safe_load(kubeconfig.read_text())
    cluster, user = found["clusters"][0]["cluster"], found["users"][0]["user"]
    data = {
        "ca_file": cluster["certificate-authority-data"],
        "cert_file": user["client-certificate-data"],
        "key_file": user["client-key-data"],
    }
    for name, text in data.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(base64.b64decode(text))
    return {
        "address": cluster["server"].removeprefix("https://"),
        "tls": {name: str(folder / name) for name in data},
        "kubeconfig": str(kubeconfig),
    }


def _job(
    name: str, access: Mapping[str, Any], role: str, rules: Rules, path: str = "/metrics", **more: Any
) -> dict[str, Any]:
    """Return the scrape of a cluster's pods or nodes, each by the API server's proxy."""
    through: Rules = [{"target_label": "__address__", "replacement": access["address"]}]
    if role != "node":
        # The API server knows the ports of pods by their numbers alone.
        parts = [_NAMESPACE, _POD, f"{_PORT}_number", "__metrics_path__"]
        place = {"source_labels": parts, "separator": ";", "regex": "(.+);(.+);(.+);(.+)"}
        through = [place | {"target_label": "__metrics_path__", "replacement": _PODS}, *through]
    return {
        "job_name": name,
        "scheme": "https",
        "metrics_path": path,
        "tls_config": access["tls"],
        "kubernetes_sd_configs": [{"role": role, "kubeconfig_file": access["kubeconfig"]}],
        "relabel_configs": [*rules, *through],
        **more,
    }


def _kept(selector: Mapping[str, Any], kind: str) -> Rules:
    """Return the rules by which those of a kind, pods or Services, are kept that have these labels."""
    wanted = {name: re.escape(value) for name, value in selector["matchLabels"].items()}
    wanted |= {expression["key"]: ".+" for expression in selector.get("matchExpressions", [])}
    prefix = f"__meta_kubernetes_{kind}_label_"
    return [
        {"source_labels": [prefix + re.sub(r"\W", "_", name)], "regex": value, "action": "keep"}
        for name, value in wanted.items()
    ]


def _found(port: str) -> Rules:
    """Return the rules by which a pod's port is kept, and series get the labels that the Prometheus Operator gives."""
    return [
        {"source_labels": [f"{_PORT}_name"], "regex": port, "action": "keep"},
        {"source_labels": [_NAMESPACE], "target_label": "namespace"},
        {"source_labels": [_POD], "target_label": "pod"},
    ]


def _snake(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule of a monitor in the words of Prometheus."""
    return {re.sub(r"[A-Z]", lambda found: f"_{found[0].lower()}", key): value for key, value in rule.items()}
