"""The manifests of the component webhook: who depends on it, and what it may do."""

from pathlib import Path
from typing import Any, Final

import yaml

NAME: Final = "buildkit-operator-webhook"
NAMESPACE: Final = "buildkit-operator"
COMPONENT: Final = Path(__file__).parents[3] / "deploy" / "kustomize" / "components" / "webhook"


def read(file: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((COMPONENT / file).read_text()))


def test_all_webhooks_leave_the_cluster_and_the_operator_alone_and_answer_in_time() -> None:
    (configuration,) = read("configuration.yaml")

    for webhook in configuration["webhooks"]:
        excluded = {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system", NAMESPACE]}
        assert excluded in webhook["namespaceSelector"]["matchExpressions"]
        assert webhook["timeoutSeconds"] <= 5
        assert webhook["sideEffects"] == "None"
        assert webhook["clientConfig"]["service"] == {
            "namespace": NAMESPACE,
            "name": NAME,
            "port": 443,
        }


def test_only_pods_that_asked_depend_on_it() -> None:
    (configuration,) = read("configuration.yaml")

    closed = [webhook["name"] for webhook in configuration["webhooks"] if webhook["failurePolicy"] == "Fail"]

    assert closed == ["label.buildkit-operator.dev"]


def test_its_rights_are_on_its_own_objects() -> None:
    rules = [rule for manifest in read("rbac.yaml") for rule in manifest.get("rules", ())]

    assert [rule["resources"] for rule in rules if "resourceNames" not in rule] == [["buildkitbuilders"]]
    assert {tuple(rule["resourceNames"]) for rule in rules if "resourceNames" in rule} == {(NAME,)}
