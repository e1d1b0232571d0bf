"""What a ready builder's message warns of."""

import pytest

from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status import DaemonsObserved, Observed, ProbeResult, SidecarObserved, judge
from tests.unit.make import make_builder, make_deployment

PROXY = {"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}
ELSEWHERE = {"name": "NO_PROXY", "valueFrom": {"secretKeyRef": {"name": "proxies", "key": "none"}}}
READY: dict[str, Observed] = {
    "Shared": DaemonsObserved([make_deployment(ready=1)]),
    "Sidecar": SidecarObserved(probe=ProbeResult(served=True)),
}


def message(mode: str, *env: Manifest) -> str:
    verdict = judge(make_builder(mode=mode, env=list(env)), READY[mode])
    assert verdict.ready
    return verdict.message


@pytest.mark.parametrize("mode", ["Shared", "Sidecar"])
def test_exceptions_from_a_proxy_that_the_operator_cannot_add_to_are_told(mode: str) -> None:
    assert "NO_PROXY comes from a Secret or ConfigMap" in message(mode, PROXY, ELSEWHERE)
    assert "NO_PROXY" not in message(mode, PROXY)
