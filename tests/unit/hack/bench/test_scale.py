"""What the benchmark of scale sends, and what it makes of the operator's requests; it runs in no test."""

import json
from collections import Counter

import pytest

from buildkit_operator.api import names
from hack.bench.operators import Work
from hack.bench.scale.bare import Recording, _filled, _templates
from hack.bench.scale.fleet import Fleet, builder, is_told
from hack.cluster.audit import Request


@pytest.mark.parametrize(("builders", "namespaces"), [(1, 1), (100, 50), (1000, 500), (10_000, 500)])
def test_builders_of_both_modes_share_up_to_500_namespaces(builders: int, namespaces: int) -> None:
    fleet = Fleet(builders)

    keys = [fleet.key(number) for number in range(builders)]
    modes = Counter(fleet.mode(number) for number in range(builders))
    assert len(set(keys)) == builders
    assert {namespace for namespace, _ in keys} == {f"scale-{number}" for number in range(namespaces)}
    assert 0 <= modes["Shared"] - modes["Sidecar"] <= 1


def test_the_deleted_object_is_one_that_the_builder_has() -> None:
    paths = [request.path.rpartition("/")[2] for request in Fleet(2).delete_children()]

    assert paths == [names.daemon("builder-0"), names.sidecar("builder-1")]


@pytest.mark.parametrize(
    ("mode", "ready", "generation", "told"),
    [
        ("Shared", "False", 1, True),
        ("Sidecar", "False", 1, False),
        ("Sidecar", "True", 1, True),
        ("Shared", "True", 2, False),
    ],
)
def test_without_pods_a_sidecar_builder_is_ready_and_a_shared_one_told(
    mode: str, ready: str, generation: int, *, told: bool
) -> None:
    status = {"observedGeneration": 1, "injection": {}, "conditions": [{"type": "Ready", "status": ready}]}
    found = {**builder("one", mode), "metadata": {"generation": generation}, "status": status}

    assert is_told(found) is told


def test_a_bare_client_sends_each_builder_what_the_operator_wrote() -> None:
    recording = Recording({"Sidecar": {"image": "x"}}, {"Sidecar": 2}, {"Sidecar": {"regarding": {}}}, {"Sidecar": 1})

    sent = [_filled(template, ("team", "demo"), "7") for template in _templates("Sidecar", recording)]

    bodies = [json.loads(request.body) for request in sent]
    assert [request.method for request in sent] == ["PATCH", "PATCH", "PATCH", "POST"]
    assert bodies[0]["metadata"]["name"] == names.sidecar("demo")
    assert bodies[0]["metadata"]["resourceVersion"] == "1", "it is created, or refused"
    assert bodies[1]["status"] != bodies[2]["status"], "what changes nothing is not even stored"
    assert (bodies[3]["metadata"]["name"], bodies[3]["regarding"]) == ("demo.7", {"name": "demo", "namespace": "team"})


def test_requests_are_counted_by_verb_and_dry_runs_apart() -> None:
    requests = [
        Request("get", "/api/v1/namespaces/a", "admin", "", 200),
        Request("create", "/api/v1/namespaces/a/pods?dryRun=All", "admin", "", 201),
        Request("patch", "/api/v1/namespaces/a/configmaps/b", "admin", "", 201),
        Request("patch", "/api/v1/namespaces/a/configmaps/c", "admin", "", 201),
    ]

    work = Work(2.0, 0.004, requests)

    assert work.verbs == "dry run 1, get 1, patch 2"
    assert work.cpu_per_write == 2
