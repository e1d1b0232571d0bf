"""A pod as its golden file has it: what is worth reading, without what the API server adds to every pod."""

from typing import Any, Final

import yaml

from buildkit_operator.kube.resources import Manifest
from tests.integration.admission.engines import Refusal


def described(outcome: Manifest | Refusal) -> str:
    """Return what is worth reading of a pod, or the refusal, as YAML."""
    if isinstance(outcome, Refusal):
        return f"refused: |-\n  {outcome.sentence}\n"
    metadata = {key: outcome["metadata"][key] for key in ("labels", "annotations") if key in outcome["metadata"]}
    described = {"metadata": metadata, "spec": without_defaults(outcome["spec"])}
    text: str = yaml.safe_dump(described, sort_keys=False, width=120, default_flow_style=None)
    return text


DEFAULTS: Final[dict[str, list[Any]]] = {
    "terminationMessagePath": ["/dev/termination-log"],
    "terminationMessagePolicy": ["File"],
    "imagePullPolicy": ["Always", "IfNotPresent"],
    "terminationGracePeriodSeconds": [30],
    "dnsPolicy": ["ClusterFirst"],
    "schedulerName": ["default-scheduler"],
    "priority": [0],
    "preemptionPolicy": ["PreemptLowerPriority"],
    "enableServiceLinks": [True],
    "defaultMode": [420],
    "apiVersion": ["v1"],
    "resources": [{}],
    "securityContext": [{}],
}
"""What the API server adds to every pod, engine or not."""

TOLERATED_BY_ALL: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def without_defaults(value: Any) -> Any:
    """Return a value without those of its fields that are as the API server sets them anyway."""
    if isinstance(value, list):
        return [without_defaults(item) for item in value if not _is_tolerated_by_all(item)]
    if not isinstance(value, dict):
        return value
    fields = {key: without_defaults(field) for key, field in value.items() if field not in DEFAULTS.get(key, ())}
    return {key: field for key, field in fields.items() if key != "tolerations" or field}


def _is_tolerated_by_all(item: Any) -> bool:
    return isinstance(item, dict) and item.get("key") in TOLERATED_BY_ALL
