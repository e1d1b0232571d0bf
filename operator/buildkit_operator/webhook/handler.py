"""Admission request handler: which webhook is asked, what it answers, and what is counted and logged of that."""

from __future__ import annotations

import logging
import time
import traceback
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from pydantic_core import from_json, to_json

from buildkit_operator.admission.review import AdmissionResult, Answer, BadReview, Builders, WebhookName, answer
from buildkit_operator.kube.decoding import decode
from buildkit_operator.webhook.metrics import WebhookMetrics

ERROR: Final = "error"
"""Result, in metrics, of what was answered with an HTTP status of 400 or more."""
RESULTS: Final = (*AdmissionResult, ERROR)

_WEBHOOKS: Final = {webhook.value: webhook for webhook in WebhookName}
_WITHOUT: Final = frozenset({AdmissionResult.REFUSED, AdmissionResult.RETRY, AdmissionResult.PASSED_OVER})
"""Results that leave a pod which asked for a builder, or was picked by one, without it."""

logger = logging.getLogger(__name__)


class AdmissionHandler:
    """Answers AdmissionReviews by what is known of builders."""

    def __init__(self, builders: Builders, metrics: WebhookMetrics) -> None:
        """Look builders up in `builders`."""
        self._builders = builders
        self._counters = {
            (webhook, result): metrics.requests_total.labels(webhook, result)
            for webhook in WebhookName
            for result in RESULTS
        }
        self._durations = {webhook: metrics.request_duration_seconds.labels(webhook) for webhook in WebhookName}

    def __call__(self, path: str, body: bytes) -> web.Response:
        """Answer one request; the last part of the path says which webhook is asked."""
        webhook = _WEBHOOKS.get(path.rpartition("/")[2])
        if webhook is None:
            return _complaint("There is no such webhook.", HTTPStatus.NOT_FOUND)
        started = time.perf_counter()
        response, result = self._answer(webhook, body)
        self._durations[webhook].observe(time.perf_counter() - started)
        self._counters[webhook, result].inc()
        return response

    def _answer(self, webhook: WebhookName, body: bytes) -> tuple[web.Response, str]:
        try:
            review = _decode(body)
            said = answer(webhook, review, self._builders)
            encoded = to_json(said.review)  # in half the time that json.dumps takes
        except BadReview as bad:
            return _complaint(str(bad), HTTPStatus.BAD_REQUEST), ERROR
        except (ValueError, RecursionError):
            return _complaint("The body must be JSON.", HTTPStatus.BAD_REQUEST), ERROR
        except Exception as error:  # noqa: BLE001  one pod's request must not end all others' connections
            _log_failure(webhook, error)
            return _complaint("The webhook failed.", HTTPStatus.INTERNAL_SERVER_ERROR), ERROR
        if said.result in _WITHOUT:
            _log_refusal(webhook, said, review["request"])
        return web.Response(body=encoded, content_type="application/json"), said.result


def _decode(body: bytes) -> Any:
    """Return the value of a JSON text. Raises ValueError where it is none.

    What the API server encodes is read in a third of the time that `decode` takes, which is for what this cannot read.
    """
    try:
        return from_json(body, allow_inf_nan=False, cache_strings="none")
    except ValueError:
        return decode(body)


def _complaint(sentence: str, status: HTTPStatus) -> web.Response:
    return web.Response(text=f"{sentence}\n", status=status)


def _log_refusal(webhook: WebhookName, said: Answer, request: dict[str, Any]) -> None:
    metadata = request["object"]["metadata"]
    logger.info(
        "A pod did not get its builder: %s",
        said.message,
        extra={
            "webhook": webhook.value,
            "result": said.result.value,
            "namespace": said.namespace,
            "pod": metadata.get("name") or f"{metadata.get('generateName', '')}*",
            "builder": said.builder,
            "uid": request["uid"],
        },
    )


def _log_failure(webhook: WebhookName, error: Exception) -> None:
    """Log where it failed. The error's own text may quote the pod, which is nobody's business."""
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error(
        "A request could not be answered: %s", type(error).__name__, extra={"webhook": webhook.value, "where": where}
    )
