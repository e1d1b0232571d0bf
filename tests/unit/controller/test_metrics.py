"""What Prometheus gets of builders from the operator: a view of its cache."""

from typing import Any

from buildkit_operator.controller.metrics import BuilderStateCollector
from buildkit_operator.controller.watched import BUILDERS
from buildkit_operator.engine.cache import Cache


def builder(
    name: str, *conditions: dict[str, str], spec: dict[str, Any] | None = None, **status: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "buildkit-operator.dev/v1alpha1",
        "kind": "BuildKitBuilder",
        "metadata": {"namespace": "ci", "name": name, "uid": name, "resourceVersion": "1"},
        "spec": {"mode": "Shared"} if spec is None else spec,
        "status": {"conditions": list(conditions), **status},
    }


def condition(kind: str, status: str, reason: str = "Tested") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason}


def samples(*builders: dict[str, Any]) -> dict[str, dict[tuple[str, ...], float]]:
    """Return the values of each metric by its labels' values, in the order of their names."""
    cache = Cache(BUILDERS)
    for one in builders:
        cache.put(BUILDERS.primary, one)
    return {
        family.name.removeprefix("buildkit_operator_"): {
            tuple(value for _, value in sorted(sample.labels.items())): sample.value for sample in family.samples
        }
        for family in BuilderStateCollector(cache).collect()
    }


def test_builders_are_counted_by_mode_and_readiness() -> None:
    told = samples(
        builder("a", condition("Ready", "True")),
        builder("b", condition("Ready", "True")),
        builder("c", condition("Ready", "False")),
        builder("d"),
    )

    assert told["builders"] == {("Shared", "True"): 2, ("Shared", "False"): 1, ("Shared", "Unknown"): 1}


def test_only_stalled_builders_are_named_each_with_its_reason() -> None:
    stalled = builder("b", condition("Ready", "False"), condition("Stalled", "True", "SecretNotFound"))

    assert samples(builder("a", condition("Ready", "False")), stalled)["builder_stalled"] == {
        ("b", "ci", "SecretNotFound"): 1
    }


def test_when_a_certificate_begins_and_ends_is_told_in_seconds() -> None:
    times: dict[str, Any] = {
        "certificateNotBeforeTime": "1970-01-01T00:05:00Z",
        "certificateNotAfterTime": "1970-01-02T00:00:00Z",
    }
    told = samples(builder("a", **times), builder("b"))

    assert told["certificate_not_before_timestamp_seconds"] == {("a", "ci"): 300}
    assert told["certificate_expiry_timestamp_seconds"] == {("a", "ci"): 86400}


def test_daemons_are_told_of_builders_that_have_their_own() -> None:
    told = samples(
        builder("fresh"),
        builder("three", spec={"mode": "Shared", "shared": {"replicas": 3}}, readyReplicas=2),
        builder("zero", spec={"mode": "Shared", "shared": {"replicas": 0}}),
        builder("scaled", spec={"mode": "Shared", "shared": {"autoscaling": {}}}, autoscaling={"desiredReplicas": 2}),
        builder(
            "each", spec={"mode": "Shared", "shared": {"architectures": ["a", "b"], "replicas": 3}}, readyReplicas=5
        ),
        builder("consumer", spec={"mode": "Shared", "shared": {"from": {"namespace": "a", "name": "b"}}}),
        builder("sidecar", spec={"mode": "Sidecar"}),
    )

    wanted, ready = told["builder_spec_replicas"], told["builder_ready_replicas"]
    assert {name: count for (name, _), count in wanted.items()} == {
        "fresh": 1,
        "three": 3,
        "zero": 0,
        "scaled": 2,
        "each": 6,
    }
    assert {name: count for (name, _), count in ready.items()} == {
        "fresh": 0,
        "three": 2,
        "zero": 0,
        "scaled": 0,
        "each": 5,
    }


def test_runner_pods_are_counted_by_the_status() -> None:
    told = samples(builder("a", pods={"injected": 7, "ready": 5, "failed": 1}), builder("b"))

    assert told["builder_runner_pods"] == {("a", "ci"): 7, ("b", "ci"): 0}
    assert told["builder_runner_pods_ready"] == {("a", "ci"): 5, ("b", "ci"): 0}


def test_builders_that_another_installation_is_in_charge_of_are_counted() -> None:
    told = samples(builder("a", managedBy="one/buildkit-operator"), builder("b", managedBy="one/buildkit-operator"))

    assert told["builders_of_others"] == {("one/buildkit-operator",): 2}
    assert samples(builder("a"))["builders_of_others"] == {}
