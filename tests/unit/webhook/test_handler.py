"""What is read of a request's body: what the API server sends, and whatever else somebody could."""

import json
from http import HTTPStatus
from typing import Any

import pytest
from aiohttp import web

from buildkit_operator.admission.review import WebhookName
from buildkit_operator.webhook.handler import RESULTS, AdmissionHandler
from buildkit_operator.webhook.metrics import WebhookMetrics
from tests.unit.admission.make import Builders, make_builder, make_pod, make_review

PATCHED = b'"patchType":"JSONPatch"'


def respond(body: bytes) -> web.Response:
    metrics = WebhookMetrics(WebhookName, RESULTS, lambda: True)
    return AdmissionHandler(Builders(make_builder()), metrics)("/path/label", body)


def body(response: web.Response) -> bytes:
    assert isinstance(response.body, bytes)
    return response.body


def review(annotation: str) -> bytes:
    """Return a review of a pod of which somebody wrote a part as it stands here."""
    pod: dict[str, Any] = make_pod()
    pod["metadata"]["annotations"] = {"theirs": "ANNOTATION"}
    return json.dumps(make_review(pod)).replace('"ANNOTATION"', annotation).encode()


def test_a_review_is_answered_with_the_patch() -> None:
    answered = respond(review('"any"'))

    assert (answered.status, answered.content_type) == (HTTPStatus.OK, "application/json")
    assert PATCHED in body(answered)


@pytest.mark.parametrize(
    "annotation",
    ["[" * 500 + "]" * 500, "[" * 20_000 + "]" * 20_000, "NaN", "1e999", "9" * 50, "9" * 5000, r'"\ud83d"'],
    ids=["deep", "very deep", "no number", "infinite", "large", "too large", "half a character"],
)
def test_what_go_writes_and_python_does_not_like_is_read(annotation: str) -> None:
    assert PATCHED in body(respond(review(annotation)))


def test_bytes_that_are_no_text_are_read() -> None:
    assert PATCHED in body(respond(review('"any"').replace(b"any", b"\xff")))


@pytest.mark.parametrize("sent", [b"", b"{", b"\xff", b'{"a":1}}'])
def test_what_is_no_json_is_told_so(sent: bytes) -> None:
    answered = respond(sent)

    assert answered.status == HTTPStatus.BAD_REQUEST
    assert body(answered) == b"The body must be JSON.\n"
