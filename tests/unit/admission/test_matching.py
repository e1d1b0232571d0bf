"""Which requests an engine is asked about: the webhook's configuration and the command line go by the same."""

from typing import Any

import pytest

from buildkit_operator.admission import matching, policies, webhook_configuration
from buildkit_operator.admission.matching import NotAsked, why_not_asked

PICKING = {"buildkit-operator.dev/injection": "enabled"}
NAMED = {"buildkit-operator.dev/builder": "demo"}


@pytest.mark.parametrize(
    ("metadata", "namespace", "labels", "why"),
    [
        ({"labels": NAMED}, "ci", {}, None),
        ({"labels": NAMED}, "kube-system", {}, NotAsked.NAMESPACE),
        ({"labels": NAMED}, "buildkit-operator", PICKING, NotAsked.NAMESPACE),
        ({"labels": NAMED, "annotations": {"kubernetes.io/config.mirror": "x"}}, "ci", {}, NotAsked.MIRROR),
        ({}, "ci", {}, NotAsked.UNLABELLED),
        ({"labels": None}, "ci", {"buildkit-operator.dev/injection": "disabled"}, NotAsked.UNLABELLED),
        ({}, "ci", PICKING, None),
        ({}, "ci", None, None),
    ],
)
def test_why_no_engine_is_asked(metadata: Any, namespace: str, labels: Any, why: NotAsked | None) -> None:
    assert why_not_asked({"metadata": metadata}, namespace, labels) is why


def test_policies_and_webhooks_select_the_same_pods_and_fail_alike() -> None:
    by_policies = [
        (
            spec["matchConstraints"]["objectSelector"],
            spec["matchConstraints"]["namespaceSelector"],
            spec["failurePolicy"],
        )
        for manifest in policies.manifests()
        if "matchConstraints" in (spec := manifest["spec"])
    ]
    by_webhooks = [
        (webhook["objectSelector"], webhook["namespaceSelector"], webhook["failurePolicy"])
        for webhook in webhook_configuration.manifest()["webhooks"]
    ]

    # With a webhook, one request serves a pod that names its builder and says why it cannot.
    assert [match for match in by_webhooks if match not in by_policies] == []
    labelled = matching.NAMED_AND_WITHOUT.selectors()["objectSelector"]
    assert [match[0] for match in by_policies if match not in by_webhooks] == [labelled]
