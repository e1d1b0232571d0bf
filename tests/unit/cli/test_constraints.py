"""Pods that could not be tried and quotas without room, as the doctor sees them."""

import pytest

from buildkit_operator.cli.checks.findings import CheckResult
from buildkit_operator.kube.resources import Manifest
from tests.unit.cli.cluster_states import FORBIDDEN, cluster, live, messages, ready, result

INJECTION = {
    "initContainers": [
        {"name": "buildkitd", "resources": {"limits": {"cpu": "2", "memory": "4Gi"}, "requests": {"memory": "1Gi"}}}
    ]
}


@pytest.mark.parametrize(
    "said",
    [
        "A probe pod was refused, though: no label.",
        "Whether pods get it could not be tried: the operator may not create pods.",
    ],
)
def test_a_builder_whose_pods_could_not_be_tried_is_told(said: str) -> None:
    seen = cluster(builders=[live("good"), live("bad", status=ready(message=f"1 of 1 daemon ready. {said}"))])

    assert result("ProbedPods", seen) is CheckResult.WARNING
    assert f"ci/bad: 1 of 1 daemon ready. {said}" in messages("ProbedPods", seen)
    assert "good" not in messages("ProbedPods", seen)
    assert result("ProbedPods", cluster(builders=[live()])) is CheckResult.OK


def quota(namespace: str = "ci", **counted: tuple[str, str]) -> Manifest:
    hard = {name.replace("_", "."): most for name, (_, most) in counted.items()}
    used = {name.replace("_", "."): amount for name, (amount, _) in counted.items()}
    return {"metadata": {"name": "q", "namespace": namespace}, "status": {"hard": hard, "used": used}}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (quota(limits_cpu=("2", "4"), pods=("3", "4")), "ok"),
        (quota(limits_cpu=("2500m", "4")), "warning"),
        (quota(requests_memory=("7Gi", "8Gi")), "ok"),
        (quota(memory=("7.5Gi", "8Gi")), "warning"),
        (quota(requests_cpu=("3", "4")), "warning"),
        (quota(pods=("4", "4")), "warning"),
        (quota(limits_storage=("4", "4")), "ok"),
        (quota("other", pods=("4", "4")), "ok"),
    ],
)
def test_a_quota_without_room_for_another_pod_is_told(found: Manifest, expected: str) -> None:
    seen = cluster(builders=[live(status=ready() | {"injection": INJECTION})], quotas=[found])

    assert result("Quotas", seen) == expected
    if expected == "warning":
        assert "ResourceQuota ci/q has no room for another runner pod of builder demo" in messages("Quotas", seen)


def test_without_the_right_to_see_quotas_nothing_is_known() -> None:
    assert result("Quotas", cluster(quotas=FORBIDDEN)) is CheckResult.UNKNOWN
