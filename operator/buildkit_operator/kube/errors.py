"""API errors: what the server can answer instead of the object, as few types as callers tell apart.

Every message is a sentence that may be logged and shown in a status: a Secret's values never get into one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from buildkit_operator.kube.decoding import decode
from buildkit_operator.kube.resources import SECRET, Resource

MAX_MESSAGE_LENGTH: Final = 1024
"""Characters kept of a server's message; some repeat the whole object."""

_WRONG_FOR_GOOD: Final = (
    # an apply with a field or a value that the schema does not have
    "failed to create typed patch object",
    "failed to convert new object",
    # an object that etcd, or the way to it, does not take for its size
    "etcdserver: request is too large",
    "rpc error: code = ResourceExhausted desc = trying to send message larger than max",
)
"""So begin answers with status 500 that the same request will always get."""

_MISSING_RIGHT: Final = re.compile(
    r'cannot (?P<verb>\w+) resource "(?P<plural>[\w./-]+)" in API group "(?P<group>[\w.-]*)"'
    r'(?: in the namespace "(?P<namespace>[\w.-]+)")?'
)
"""What RBAC says of a right that is missing (apiserver, endpoints/handlers/responsewriters/errors.go)."""


class ApiError(Exception):
    """The API server refused or could not be reached."""

    transient: ClassVar[bool] = False
    """Whether the same request is likely to succeed a little later, though nobody changes anything."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        """Keep the sentence, and the HTTP status where there was an answer."""
        super().__init__(message)
        self.status = status


class NotFound(ApiError):  # noqa: N818  HTTP's own name for it
    """No such object, namespace or kind (404)."""


class Conflict(ApiError):  # noqa: N818  HTTP's own name for it
    """The object exists already, has changed meanwhile, or is another one than the precondition named (409)."""

    transient = True


class Forbidden(ApiError):  # noqa: N818  HTTP's own name for it
    """RBAC, a quota, an admission policy, or a namespace that is being deleted (403)."""

    def __init__(self, message: str, *, status: int | None = None, missing_right: str | None = None) -> None:
        """Keep also the right that we lack, such as `delete services in namespace ci`, where that is what is said."""
        super().__init__(message, status=status)
        self.missing_right = missing_right


class Invalid(ApiError):  # noqa: N818  the API's own name for it
    """The object itself is wrong: the same request can never succeed.

    (400, 413, 422; with 500 schema errors of an apply, and an object that is too large for etcd.)
    """

    def __init__(self, message: str, *, status: int | None = None, fields: Sequence[str] = ()) -> None:
        """Keep also the paths of the fields that are wrong, as far as the server names them."""
        super().__init__(message, status=status)
        self.fields = tuple(fields)


class Unavailable(ApiError):  # noqa: N818  HTTP's own name for it
    """The server is away, overloaded, does not accept our credential, or took too long: try again later."""

    transient = True

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        """Keep also how many seconds the server asked to be left alone (429 and 503 with Retry-After)."""
        super().__init__(message, status=status)
        self.retry_after = retry_after


class TooLarge(Unavailable):
    """The answer has more bytes than were asked for, and was not read to its end."""


def from_answer(what: str, resource: Resource, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """Make the exception for an answer with a status of 400 or more; `what` says what was asked for."""
    answer = _status_object(body)
    said = _server_sentence(answer, resource)
    message = f"{what}: {said} ({status})" if said else f"{what}: the API server answered {status}"
    if status in (400, 413, 422) or (status == 500 and str(answer.get("message")).startswith(_WRONG_FOR_GOOD)):
        return Invalid(message, status=status, fields=_fields(answer))
    if status == 403:
        return Forbidden(message, status=status, missing_right=_missing_right(answer))
    if status == 404:
        return NotFound(message, status=status)
    if status == 409:
        return Conflict(message, status=status)
    if status in (401, 410, 429) or status >= 500:
        return Unavailable(message, status=status, retry_after=_retry_after(headers, answer))
    return ApiError(message, status=status)


def _status_object(body: bytes) -> dict[str, Any]:
    """Read the answer's `Status`; anything else (a proxy's page, an echoed object) counts as empty."""
    try:
        answer = decode(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}


def _server_sentence(answer: dict[str, Any], resource: Resource) -> str:
    """Return the server's message on one line; about a Secret only reason and fields, for messages quote values."""
    if resource == SECRET:
        return f"{answer.get('reason', '')} {', '.join(_fields(answer))}".strip()
    message = " ".join(str(answer.get("message", "")).split())
    return message if len(message) <= MAX_MESSAGE_LENGTH else message[: MAX_MESSAGE_LENGTH - 1] + "…"


def _fields(answer: dict[str, Any]) -> list[str]:
    """Return the paths of the fields that the server finds wrong, each once."""
    causes = (answer.get("details") or {}).get("causes") or ()
    return sorted({str(cause["field"]) for cause in causes if cause.get("field")})


def _missing_right(answer: dict[str, Any]) -> str | None:
    """Return the right that RBAC says is missing, as `kubectl auth can-i` takes it; no value of an object is in it."""
    found = _MISSING_RIGHT.search(str(answer.get("message")))
    if found is None:
        return None
    kind = f"{found['plural']}.{found['group']}" if found["group"] else found["plural"]
    return f"{found['verb']} {kind}" + (f" in namespace {found['namespace']}" if found["namespace"] else "")


def _retry_after(headers: Mapping[str, str], answer: dict[str, Any]) -> float | None:
    """Seconds from the Retry-After header, or from the Status where a proxy dropped the header."""
    given = headers.get("Retry-After") or (answer.get("details") or {}).get("retryAfterSeconds")
    try:
        return max(0.0, float(given)) if given is not None else None
    except ValueError:  # HTTP also allows a date, which the API server never sends
        return None
