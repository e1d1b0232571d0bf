import base64
import json
from typing import Any

import pytest

from buildkit_operator.admission.review import AdmissionResult, BadReview, WebhookName, answer
from buildkit_operator.kube.resources import Manifest
from tests.unit.admission.make import Builders, ask, make_builder, make_pod, make_review, patched


def picking(name: str = "demo", *, rendered: bool = True) -> Manifest:
    """Return a builder that picks pods labelled pool=linux."""
    return make_builder(name, rendered=rendered, injection={"podSelector": {"matchLabels": {"pool": "linux"}}})


def picked(**spec: Any) -> Manifest:
    pod = make_pod(None, **spec)
    pod["metadata"]["labels"] = {"pool": "linux", "size": "large"}
    return pod


# What the API server is sent


def test_a_pod_gets_a_patch() -> None:
    response = ask(make_pod(), make_builder()).review["response"]

    assert response["uid"] == "7a1e"
    assert response["allowed"] is True
    assert response["patchType"] == "JSONPatch"
    assert json.loads(base64.b64decode(response["patch"]))[-1]["path"] == "/spec/initContainers"


def test_a_refusal_is_final() -> None:
    given = ask(make_pod(hostNetwork=True), make_builder())

    assert given.result is AdmissionResult.REFUSED
    assert given.review["response"]["allowed"] is False
    assert given.review["response"]["status"] == {"code": 422, "reason": "Invalid", "message": given.message}
    assert "patch" not in given.review["response"]


def test_a_builder_that_nobody_has_looked_at_is_asked_for_again_in_a_second() -> None:
    given = ask(make_pod(), make_builder(rendered=False))

    assert given.result is AdmissionResult.RETRY
    assert given.review["response"]["status"]["code"] == 429
    assert given.review["response"]["status"]["details"] == {"retryAfterSeconds": 1}


def test_what_the_status_says_is_said_on() -> None:
    given = ask(make_pod(), make_builder(rendered=False, ready="Secret x is missing."))

    assert given.result is AdmissionResult.REFUSED
    assert "it is not ready: Secret x is missing. See: kubectl describe bkb demo -n ci" in given.message


def test_the_answer_tells_what_a_log_wants_to_know() -> None:
    given = ask(make_pod("absent"), make_builder())

    assert (given.result, given.namespace, given.builder) == (AdmissionResult.REFUSED, "ci", "absent")
    assert given.message.startswith('there is no BuildKitBuilder "absent" in namespace "ci"')


# Which pods get something


def test_a_pod_without_the_label_gets_nothing() -> None:
    assert ask(make_pod(None), make_builder()).result is AdmissionResult.UNCHANGED


@pytest.mark.parametrize("operation", ["UPDATE", "DELETE", "CONNECT", None])
@pytest.mark.parametrize("webhook", [WebhookName.LABEL, WebhookName.SELECTOR])
def test_an_operation_that_is_not_served_changes_nothing(webhook: WebhookName, operation: str) -> None:
    review = make_review(make_pod(), operation=operation)

    assert answer(webhook, review, Builders(make_builder())).result is AdmissionResult.UNCHANGED


def test_a_deleted_pod_that_is_no_longer_sent_is_allowed() -> None:
    review = make_review(make_pod(), operation="DELETE")
    review["request"]["object"] = None

    assert answer(WebhookName.LABEL, review, Builders()).result is AdmissionResult.UNCHANGED


def test_the_first_builder_by_name_that_picks_a_pod_serves_it() -> None:
    others = [picking(name) for name in ("zeta", "beta", "gamma")]

    given = ask(picked(), *others, make_builder("alpha"), webhook=WebhookName.SELECTOR)

    assert (given.result, given.builder) == (AdmissionResult.INJECTED, "beta")


def test_a_builder_that_is_not_rendered_picks_nothing() -> None:
    unrendered = picking("a", rendered=False)

    given = ask(picked(), unrendered, picking("b"), webhook=WebhookName.SELECTOR)

    assert given.builder == "b"


def test_a_picked_pod_that_cannot_be_served_is_admitted_with_a_note() -> None:
    pod = picked(hostPID=True)

    given = ask(pod, picking(), webhook=WebhookName.SELECTOR)

    assert given.result is AdmissionResult.PASSED_OVER
    assert given.review["response"]["allowed"] is True
    noted = patched(pod, given)
    assert noted["metadata"]["annotations"] == {"buildkit-operator.dev/not-injected": given.message}
    assert noted["spec"] == pod["spec"]


def test_a_pod_that_names_its_builder_is_not_picked() -> None:
    pod = make_pod()
    pod["metadata"]["labels"]["pool"] = "linux"

    assert ask(pod, picking(), webhook=WebhookName.SELECTOR).result is AdmissionResult.UNCHANGED


# What is no review


@pytest.mark.parametrize(
    "change",
    [
        {"apiVersion": "admission.k8s.io/v1beta1"},
        {"kind": "Pod"},
        {"request": None},
        {"request": {}},
        {"request": {"uid": 7}},
        {"request": {"uid": "x", "kind": {"group": "apps", "version": "v1", "kind": "Deployment"}}},
        {"request": {"uid": "x", "kind": {"group": "", "version": "v1", "kind": "Pod"}, "operation": "CREATE"}},
        {
            "request": {
                "uid": "x",
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "operation": "CREATE",
                "object": {"metadata": {}},
            }
        },
    ],
)
def test_what_is_no_review_of_a_pod_is_told_so(change: Manifest) -> None:
    with pytest.raises(BadReview):
        answer(WebhookName.LABEL, {**make_review(make_pod()), **change}, Builders())


@pytest.mark.parametrize("body", [None, [], "x", 1, {}])
def test_what_is_no_object_is_told_so(body: Any) -> None:
    with pytest.raises(BadReview):
        answer(WebhookName.LABEL, body, Builders())
