"""What pods' authors see of the webhook, and what its administrators see in log and metrics."""

import http.client
import json
import ssl
from typing import Any

import pytest

from hack.cluster.kubectl import wait_for
from tests.integration.admission.engines import Refusal
from tests.integration.webhook.installation import CONFIGURATION, Installation, pod
from tests.integration.webhook.webhook_process import WebhookProcess


def refusal(outcome: Any) -> Refusal:
    assert isinstance(outcome, Refusal), outcome
    return outcome


def test_a_pod_gets_its_builder(shared: Installation) -> None:
    created = shared.create_pod()

    assert not isinstance(created, Refusal)
    assert created["metadata"]["labels"]["buildkit-operator.dev/injected"] == "demo"
    assert created["spec"]["initContainers"][0]["name"] == "buildkitd"
    assert created["spec"]["initContainers"][0]["restartPolicy"] == "Always"


def test_a_builder_that_does_not_exist_is_a_refusal_for_good(shared: Installation) -> None:
    said = refusal(shared.create_pod("nothing"))

    assert said.code == 422
    assert said.sentence.startswith('there is no BuildKitBuilder "nothing" in namespace "ci"')


def test_a_builder_that_nobody_has_looked_at_is_one_for_now(shared: Installation) -> None:
    said = refusal(shared.create_pod("unseen"))

    assert said.code == 429
    assert "the operator has not looked at it yet" in said.sentence


def test_a_builder_serves_as_soon_as_it_is_rendered(shared: Installation) -> None:
    path = "/apis/buildkit-operator.dev/v1alpha1/namespaces/ci/buildkitbuilders"
    created = shared.control_plane.request(
        "POST",
        path,
        {
            "apiVersion": "buildkit-operator.dev/v1alpha1",
            "kind": "BuildKitBuilder",
            "metadata": {"name": "later"},
            "spec": {"mode": "Sidecar"},
        },
    )
    wait_for("the webhook to know it", lambda: refusal(shared.create_pod("later")).code == 429)

    created["status"] = shared.control_plane.request("GET", f"{path}/demo")["status"]
    created["status"]["injection"]["labels"] = {"buildkit-operator.dev/injected": "later"}
    shared.control_plane.request("PUT", f"{path}/later/status", created)

    wait_for("pods to get it", lambda: not isinstance(shared.create_pod("later"), Refusal))

    shared.control_plane.request("DELETE", f"{path}/later")

    wait_for("it to be gone", lambda: isinstance(shared.create_pod("later"), Refusal))
    assert refusal(shared.create_pod("later")).code == 422


def test_a_pod_is_picked_where_the_namespace_lets_builders(shared: Installation) -> None:
    picked = {**pod("demo", "open")}
    picked["metadata"]["labels"] = {"pool": "linux"}

    created = shared.engine.create(picked)

    assert not isinstance(created, Refusal)
    assert created["metadata"]["labels"]["buildkit-operator.dev/injected"] == "runners"


def test_refusals_are_counted_and_logged_without_the_pod(shared: Installation) -> None:
    (process,) = shared.processes
    before = process.count("label", "refused")

    shared.create_pod("nobody")

    assert process.count("label", "refused") == before + 1
    line = next(line for line in process.log.read_text().splitlines() if '"nobody"' in line)
    assert "result=refused namespace=ci pod=job-* builder=nobody uid=" in line
    assert "secret-value" not in process.log.read_text()


def test_an_answer_takes_milliseconds(shared: Installation) -> None:
    (process,) = shared.processes
    shared.create_pod()
    name = "buildkit_operator_webhook_request_duration_seconds"

    assert process.metric(f"{name}_sum") / process.metric(f"{name}_count") < 0.01
    assert process.metric("buildkit_operator_webhook_ready") == 1


# What is no question of an API server's


def post(process: WebhookProcess, path: str, body: bytes, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPSConnection(
        "127.0.0.1", process.https_port, timeout=5, context=ssl._create_unverified_context()
    )
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def review(**request: Any) -> bytes:
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()


@pytest.mark.parametrize("path", ["/label", "/", "", "//label", f"/{'0' * 64}/label", "/%2e/label"])
def test_who_does_not_know_the_path_learns_nothing(shared: Installation, path: str) -> None:
    (process,) = shared.processes
    asked = pod("demo")
    body = review(
        uid="1",
        kind={"group": "", "version": "v1", "kind": "Pod"},
        namespace="ci",
        operation="CREATE",
        object=asked,
    )

    assert post(process, path, body) == (404, "")
    status, answer = post(process, shared.path(), body)
    assert (status, '"patch"' in answer) == (200, True)


def test_administrators_alone_can_read_the_path(shared: Installation) -> None:
    (process,) = shared.processes
    configuration = shared.find(CONFIGURATION)
    assert configuration is not None
    paths = {webhook["name"]: webhook["clientConfig"]["service"]["path"] for webhook in configuration["webhooks"]}

    assert paths == {f"{name}.buildkit-operator.dev": shared.path(name) for name in ("label", "selector", "restore")}
    assert shared.path().split("/")[1] not in process.log.read_text()
    assert shared.path().split("/")[1] not in process.get("/metrics")[1]
    for role in ("view", "edit", "admin"):
        rules = shared.control_plane.request("GET", f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{role}")["rules"]
        assert not any("admissionregistration.k8s.io" in rule.get("apiGroups", ()) for rule in rules or ())


@pytest.mark.parametrize(
    ("path", "body", "status", "sentence"),
    [
        ("label", b"no JSON", 400, "The body must be JSON."),
        ("label", b"[" * 100_000, 400, "The body must be JSON."),
        (
            "label",
            b'{"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview"}',
            400,
            "The body must be an",
        ),
        ("label", review(uid="1", kind={"group": "apps", "version": "v1", "kind": "Deployment"}), 400, "for pods"),
        ("elsewhere", b"{}", 404, "There is no such webhook."),
    ],
    ids=["no JSON", "too deep", "old version", "another kind", "another path"],
)
def test_nonsense_is_refused(shared: Installation, path: str, body: bytes, status: int, sentence: str) -> None:
    (process,) = shared.processes

    answered = post(process, shared.path(path), body)

    assert (answered[0], sentence in answered[1]) == (status, True), answered


def test_a_body_beyond_the_cap_is_refused_before_it_is_read(shared: Installation) -> None:
    (process,) = shared.processes

    assert post(process, shared.path(), b"", **{"Content-Length": str(10**9)})[0] == 413
