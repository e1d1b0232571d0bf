"""Who reaches a shared builder and where it runs, on a real API server: NetworkPolicy, disruption budget, spread."""

import time
from typing import Any, Final

import pytest

from buildkit_operator.api.shared import METRICS_PORT, OVERFLOW_PORT
from buildkit_operator.kube.resources import Manifest
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.daemon import daemon_pod

PEERS: Final = [
    {"podSelector": {}},
    {
        "namespaceSelector": {"matchLabels": {"team": "builds"}},
        "podSelector": {"matchExpressions": [{"key": "runner", "operator": "Exists"}]},
    },
    {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.9.0.0/16"]}},
]
METRICS: Final = {"ports": [{"protocol": "TCP", "port": METRICS_PORT}]}


def policy(builders: Builders) -> Manifest | None:
    return builders.get("networkpolicies", "demo-buildkitd")


def rules(builders: Builders) -> Any:
    found = policy(builders)
    return found and found["spec"]["ingress"]


def test_only_the_peers_build_and_everybody_reads_metrics(builders: Builders) -> None:
    builders.create(shared={"port": 4321, "networkPolicy": {"from": PEERS}})
    builders.make_ready()

    found = policy(builders)
    assert found is not None
    assert found["spec"]["policyTypes"] == ["Ingress"]
    builds = [{"protocol": "TCP", "port": port} for port in (4321, OVERFLOW_PORT)]
    assert found["spec"]["ingress"] == [{"from": PEERS, "ports": builds}, METRICS]


def test_a_policy_comes_and_goes_with_its_field(builders: Builders) -> None:
    builders.create()
    builders.make_ready()
    assert policy(builders) is None

    builders.edit(shared={"networkPolicy": {"from": PEERS[:1]}})
    builders.wait("the policy", lambda: rules(builders))
    builders.edit(shared={"networkPolicy": {"from": PEERS[1:]}})
    builders.wait("other peers", lambda: rules(builders)[0]["from"] == PEERS[1:])
    builders.edit(shared={"networkPolicy": None})

    builders.wait("the policy is gone", lambda: policy(builders) is None)


def test_a_policy_that_others_open_or_delete_is_repaired(builders: Builders) -> None:
    builders.create(shared={"networkPolicy": {"from": PEERS}})
    builders.make_ready()
    before = rules(builders)

    builders.patch("networkpolicies", "demo-buildkitd", {"spec": {"ingress": [{}]}})
    builders.wait("the repair", lambda: rules(builders) == before)
    builders.delete("networkpolicies", "demo-buildkitd")

    builders.wait("the policy is back", lambda: rules(builders) == before)


def test_at_rest_a_policy_is_not_written(builders: Builders) -> None:
    builders.create(shared={"networkPolicy": {"from": PEERS}, "disruptionBudget": {"maxUnavailable": "34%"}})
    builders.make_ready()
    mark = builders.control_plane.mark()

    builders.patch("networkpolicies", "demo-buildkitd", {"metadata": {"labels": {"note": "1"}}})
    time.sleep(2)

    assert builders.writes(mark) == []


@pytest.mark.parametrize(("given", "expected"), [(2, 2), ("2", 2), (0, 0), ("34%", "34%")])
def test_a_drain_takes_as_many_daemons_as_the_budget_says(builders: Builders, given: object, expected: object) -> None:
    builders.create(shared={"disruptionBudget": {"maxUnavailable": given}})

    found = builders.wait("the budget", lambda: builders.get("poddisruptionbudgets", "demo-buildkitd"))
    assert found is not None
    assert found["spec"]["maxUnavailable"] == expected


def test_a_daemon_that_is_not_ready_is_evicted_however_few_are(builders: Builders) -> None:
    builders.create(shared={"replicas": 3})
    builders.wait("the budget", lambda: builders.get("poddisruptionbudgets", "demo-buildkitd"))
    daemon_pod(builders, "crashing", ready=False)
    # What its controller would say of three daemons that crash.
    spent = {
        "disruptionsAllowed": 0,
        "currentHealthy": 0,
        "desiredHealthy": 2,
        "expectedPods": 3,
        "observedGeneration": 1,
    }
    builders.patch("poddisruptionbudgets", "demo-buildkitd", {"status": spent}, "status")

    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "crashing"}}
    builders.control_plane.request("POST", builders.path("pods", "crashing") + "/eviction", eviction)


def test_daemons_spread_over_nodes_unless_the_builder_says_otherwise(builders: Builders) -> None:
    builders.create()
    (spread,) = builders.wait_for_deployment()["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert (spread["topologyKey"], spread["maxSkew"], spread["whenUnsatisfiable"]) == (
        "kubernetes.io/hostname",
        1,
        "ScheduleAnyway",
    )

    zones = [{"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 2}]
    builders.edit(shared={"pod": {"topologySpreadConstraints": zones}})

    builders.wait("zones", lambda: keys(builders) == ["topology.kubernetes.io/zone"])


def keys(builders: Builders) -> list[str]:
    template = builders.deployment()["spec"]["template"]["spec"]
    return [spread["topologyKey"] for spread in template["topologySpreadConstraints"]]
