"""Shared daemons and those who take nodes away: what their pods and their disruption budget say of it."""

import pytest

from buildkit_operator.kube.resources import Manifest
from tests.unit.make import FAKE_CERTIFICATES, children_of, make_builder

SAFE_TO_EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"


def made(kind: str, **shared: object) -> Manifest:
    (found,) = (m for m in children_of(make_builder(shared=shared), FAKE_CERTIFICATES) if m["kind"] == kind)
    return found


def annotations(**shared: object) -> dict[str, str]:
    found: dict[str, str] = made("Deployment", **shared)["spec"]["template"]["metadata"]["annotations"]
    return found


@pytest.mark.parametrize(("drain", "expected"), [(900, "false"), (571, "false"), (570, None), (0, None)])
def test_an_autoscaler_leaves_daemons_alone_that_it_would_not_let_finish(drain: int, expected: str | None) -> None:
    assert annotations(drainTimeoutSeconds=drain).get(SAFE_TO_EVICT) == expected


def test_what_the_builder_says_of_eviction_holds() -> None:
    assert annotations(pod={"annotations": {SAFE_TO_EVICT: "true"}})[SAFE_TO_EVICT] == "true"


def test_a_daemon_that_is_not_ready_may_always_be_evicted() -> None:
    assert made("PodDisruptionBudget")["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
