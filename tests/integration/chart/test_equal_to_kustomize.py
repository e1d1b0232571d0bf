"""The chart and kustomize install the same, object for object and field for field."""

import os
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from buildkit_operator.kube.resources import Manifest
from buildkit_operator.settings import PREFIX
from hack.cluster.controlplane import program
from tests.integration.chart.settings import KINDS
from tests.support.helm import Helm

KUSTOMIZE: Final = Path(__file__).parents[3] / "deploy" / "kustomize"
OF_HELM: Final = {
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/version",
    "helm.sh/chart",
    "helm.sh/resource-policy",
}
"""Labels and annotations that only the chart can set, or must: several releases may stand in one namespace."""

Objects = dict[tuple[str, str, str], Manifest]


def kustomized(folder: Path, overlay: str, *components: str) -> list[Manifest]:
    """Return what an overlay builds with more components."""
    base = Path(os.path.relpath(KUSTOMIZE, folder))
    kustomization = {
        "resources": [str(base / "overlays" / overlay)],
        "components": [str(base / "components" / name) for name in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    command = [str(program("kubectl")), "kustomize", str(folder)]
    built = subprocess.run(command, text=True, capture_output=True, check=True).stdout
    return list(yaml.safe_load_all(built))


def substance(manifests: list[Manifest]) -> Objects:
    """Return objects by kind, namespace and name, without what is Helm's and without settings that change nothing.

    The namespace is left out: Helm makes it, with --create-namespace.
    """
    found = {}
    for manifest in manifests:
        if manifest["kind"] == "Namespace":
            continue
        bare = without(deepcopy(manifest))
        for container in bare.get("spec", {}).get("template", {}).get("spec", {}).get("containers", ()):
            container["env"] = [item for item in container.get("env", ()) if not is_default(container["args"][0], item)]
        metadata = bare["metadata"]
        found[manifest["kind"], metadata.get("namespace", ""), metadata["name"]] = bare
    assert len(found) == len([manifest for manifest in manifests if manifest["kind"] != "Namespace"])
    return found


def without(value: Any) -> Any:
    """Return the value without Helm's keys, and without the annotations that these have been alone in."""
    if isinstance(value, list):
        return [without(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: without(item) for key, item in value.items() if key not in OF_HELM}
    if kept.get("annotations") == {}:
        del kept["annotations"]
    return kept


def is_default(process: str, item: Manifest) -> bool:
    """Tell whether a variable says what the process would do without it."""
    field = KINDS[process].model_fields.get(item["name"].removeprefix(PREFIX).lower())
    return field is not None and item.get("value") == field.default


def assert_equal(chart: list[Manifest], other: list[Manifest]) -> None:
    ours, theirs = substance(chart), substance(other)
    assert sorted(ours) == sorted(theirs)
    for key, manifest in ours.items():
        assert manifest == theirs[key], key


@pytest.mark.parametrize(("engine", "overlay"), [("AdmissionPolicy", "policies"), ("Webhook", "webhook")])
def test_an_engine(helm: Helm, tmp_path: Path, engine: str, overlay: str) -> None:
    chart = helm.manifests({"injection": {"engine": engine}})

    assert_equal(chart, kustomized(tmp_path, overlay))


def test_monitoring_of_all_there_is(helm: Helm, tmp_path: Path) -> None:
    monitoring = {what: {"enabled": True} for what in ("serviceMonitors", "podMonitor", "alerts", "dashboard")}
    values = {"injection": {"engine": "Webhook"}, "monitoring": monitoring}

    assert_equal(helm.manifests(values), kustomized(tmp_path, "webhook", "monitoring"))


def test_for_some_namespaces_only(helm: Helm, tmp_path: Path) -> None:
    chart = helm.manifests({"injection": {"engine": "AdmissionPolicy"}, "watchNamespaces": ["team-a", "team-b"]})

    # In this the chart goes further, as several releases may serve one cluster: its engine looks at these alone.
    only = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["team-a", "team-b"]}
    for manifest in chart:
        constraints = manifest.get("spec", {}).get("matchConstraints", {})
        if "namespaceSelector" in constraints:
            constraints["namespaceSelector"]["matchExpressions"].remove(only)

    assert_equal(chart, kustomized(tmp_path, "namespaced"))
