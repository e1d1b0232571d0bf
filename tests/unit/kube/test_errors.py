"""Answers become the right error, with a sentence that may be shown to anybody."""

import json
from typing import Any

import pytest

from buildkit_operator.kube import errors
from buildkit_operator.kube.resources import DEPLOYMENT, SECRET, Resource


def answer(status: int, message: str = "", *, resource: Resource = DEPLOYMENT, **more: Any) -> errors.ApiError:
    body = json.dumps({"kind": "Status", "code": status, "message": message, **more}).encode()
    return errors.from_answer("PATCH /x", resource, status, {}, body)


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (400, "unknown field", errors.Invalid),
        (413, "too large", errors.Invalid),
        (422, "spec.replicas: Invalid value: -1", errors.Invalid),
        (500, "failed to create typed patch object (ns/n; apps/v1): .spec.x: field not declared", errors.Invalid),
        (
            500,
            "failed to convert new object (ns/n; /v1, Kind=Secret) to proper version: illegal base64",
            errors.Invalid,
        ),
        (500, "etcdserver: request is too large", errors.Invalid),
        (500, "etcd is on fire", errors.Unavailable),
        (401, "Unauthorized", errors.Unavailable),
        (403, "no", errors.Forbidden),
        (404, "not found", errors.NotFound),
        (409, "already exists", errors.Conflict),
        (410, "too old", errors.Unavailable),
        (429, "later", errors.Unavailable),
        (503, "starting", errors.Unavailable),
        (405, "not allowed", errors.ApiError),
    ],
)
def test_every_status_has_its_type(status: int, message: str, expected: type[errors.ApiError]) -> None:
    error = answer(status, message)

    assert type(error) is expected
    assert error.status == status
    assert message in str(error)


@pytest.mark.parametrize(
    ("resource", "said", "expected"),
    [
        (
            DEPLOYMENT,
            'resource "deployments" in API group "apps" in the namespace "ci"',
            "deployments.apps in namespace ci",
        ),
        (SECRET, 'resource "secrets" in API group "" in the namespace "ci"', "secrets in namespace ci"),
        (DEPLOYMENT, 'resource "namespaces" in API group "" at the cluster scope', "namespaces"),
    ],
)
def test_a_right_that_is_missing_is_named(resource: Resource, said: str, expected: str) -> None:
    error = answer(403, f'x "y" is forbidden: User "operator" cannot get {said}', resource=resource)

    assert isinstance(error, errors.Forbidden)
    assert error.missing_right == f"get {expected}"


def test_what_refuses_otherwise_names_no_right() -> None:
    error = answer(403, 'pods "x" is forbidden: exceeded quota: small')

    assert isinstance(error, errors.Forbidden)
    assert error.missing_right is None


def test_the_fields_that_are_wrong_are_kept() -> None:
    error = answer(422, "bad", details={"causes": [{"field": "spec.b"}, {"field": "spec.a"}, {"field": "spec.b"}, {}]})

    assert isinstance(error, errors.Invalid)
    assert error.fields == ("spec.a", "spec.b")


def test_of_a_secret_the_message_is_withheld() -> None:
    causes = [{"field": "data[token]", "message": 'Invalid value: "hunter2"'}]
    error = answer(
        422, 'Secret "s" is invalid: "hunter2"', resource=SECRET, reason="Invalid", details={"causes": causes}
    )

    assert "hunter2" not in str(error)
    assert str(error) == "PATCH /x: Invalid data[token] (422)"


@pytest.mark.parametrize(
    "body", [b"<html>hunter2</html>", b'{"kind": "Secret", "message": "hunter2"}', b"", b"[]", b"\xff"]
)
def test_what_is_no_status_is_not_quoted(body: bytes) -> None:
    error = errors.from_answer("GET /x", DEPLOYMENT, 502, {}, body)

    assert str(error) == "GET /x: the API server answered 502"


def test_a_long_message_is_cut_and_stays_on_one_line() -> None:
    message = str(answer(422, "many\n words\t" * 1000))

    assert len(message) < errors.MAX_MESSAGE_LENGTH + 50
    assert "\n" not in message


@pytest.mark.parametrize(
    ("headers", "details", "expected"),
    [
        ({"Retry-After": "7"}, {}, 7.0),
        ({}, {"retryAfterSeconds": 3}, 3.0),
        ({}, {}, None),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, {}, None),
        ({"Retry-After": "-1"}, {}, 0.0),
    ],
)
def test_the_server_says_when_to_come_back(
    headers: dict[str, str], details: dict[str, int], expected: float | None
) -> None:
    body = json.dumps({"kind": "Status", "details": details}).encode()

    error = errors.from_answer("GET /x", DEPLOYMENT, 429, headers, body)

    assert isinstance(error, errors.Unavailable)
    assert error.retry_after == expected
