"""API errors: what the server can answer instead of the object, as few types as callers tell apart.

Every message is a sentence that may be logged and shown in a status: a Secret's values never get into one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from buildkit_operator.kube.resources import SECRET, Resource

MAX_MESSAGE_LENGTH: Final = 1024
"""Characters kept of a server's message; some repeat the whole object."""

_WRONG_FOR_THE_SCHEMA: Final = ("failed to create typed patch object", "failed to convert new object")
"""So, with status 500, begins the answer to an apply with a field or a value that the schema does not have."""


class ApiError(Exception):
    """The API server refused or could not be reached."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        """Keep the sentence, and the HTTP status where there was an answer."""
        super().__init__(message)
        self.status = status


class NotFound(ApiError):  # noqa: N818  HTTP's own name for it
    """No such object, namespace or kind (404)."""


class Conflict(ApiError):  # noqa: N818  HTTP's own name for it
    """The object exists already, has changed meanwhile, or is another one than the precondition named (409)."""


class Forbidden(ApiError):  # noqa: N818  HTTP's own name for it
    """RBAC, a quota, an admission policy, or a namespace that is being deleted (403)."""


class Invalid(ApiError):  # noqa: N818  the API's own name for it
    """The object itself is wrong: the same request can never succeed (400, 413, 422, and schema errors of an apply)."""


class Unavailable(ApiError):  # noqa: N818  HTTP's own name for it
    """The server is away, overloaded, does not accept our credential, or took too long: try again later."""

    def __init__(self, message: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        """Keep also how many seconds the server asked to be left alone (429 and 503 with Retry-After)."""
        super().__init__(message, status=status)
        self.retry_after = retry_after


def from_answer(what: str, resource: Resource, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """Make the exception for an answer with a status of 400 or more; `what` says what was asked for."""
    answer = _status_object(body)
    said = _server_sentence(answer, resource)
    message = f"{what}: {said} ({status})" if said else f"{what}: the API server answered {status}"
    if status in (400, 413, 422) or (status == 500 and str(answer.get("message")).startswith(_WRONG_FOR_THE_SCHEMA)):
        return Invalid(message, status=status)
    if status == 403:
        return Forbidden(message, status=status)
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
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}


def _server_sentence(answer: dict[str, Any], resource: Resource) -> str:
    """Return the server's message on one line; about a Secret only reason and fields, for messages quote values."""
    if resource == SECRET:
        causes = (answer.get("details") or {}).get("causes") or ()
        fields = ", ".join(sorted({str(cause["field"]) for cause in causes if cause.get("field")}))
        return f"{answer.get('reason', '')} {fields}".strip()
    message = " ".join(str(answer.get("message", "")).split())
    return message if len(message) <= MAX_MESSAGE_LENGTH else message[: MAX_MESSAGE_LENGTH - 1] + "…"


def _retry_after(headers: Mapping[str, str], answer: dict[str, Any]) -> float | None:
    """Seconds from the Retry-After header, or from the Status where a proxy dropped the header."""
    given = headers.get("Retry-After") or (answer.get("details") or {}).get("retryAfterSeconds")
    try:
        return max(0.0, float(given)) if given is not None else None
    except ValueError:  # HTTP also allows a date, which the API server never sends
        return None
