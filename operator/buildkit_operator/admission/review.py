"""AdmissionReview (admission.k8s.io/v1): one in, one out, given a way to look builders up. The webhook's answers."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final, NamedTuple, Protocol

from pydantic_core import to_json

from buildkit_operator.admission.injected import NOT_INJECTED, has_builder, is_marked
from buildkit_operator.admission.jsonpatch import Patch
from buildkit_operator.admission.params import Params
from buildkit_operator.admission.refusals import NO_BUILDER, PodRefused
from buildkit_operator.admission.restore import restore
from buildkit_operator.admission.splice import add_builder, note
from buildkit_operator.admission.variables import Variables
from buildkit_operator.admission.warnings import warnings
from buildkit_operator.api import names
from buildkit_operator.kube.resources import Manifest

API_VERSION: Final = "admission.k8s.io/v1"
KIND: Final = "AdmissionReview"

RETRY_SECONDS: Final = 1
"""When to ask again, for a builder that the operator is about to look at."""


class WebhookName(StrEnum):
    """What is asked for: the last part of the URL's path, and the first of the webhook's name."""

    LABEL = "label"
    """CREATE of pods that name their builder in a label."""
    SELECTOR = "selector"
    """CREATE of pods that do not, in namespaces where builders may pick theirs."""
    RESTORE = "restore"
    """UPDATE of pods that have a builder."""


class AdmissionResult(StrEnum):
    """What became of a pod."""

    INJECTED = "injected"
    UNCHANGED = "unchanged"
    PASSED_OVER = "passed_over"
    """Picked by a builder that cannot serve it, admitted as it is, with a note of why."""
    REFUSED = "refused"
    RETRY = "retry"
    """PodRefused for now."""
    RESTORED = "restored"


class BadReview(ValueError):  # noqa: N818  HTTP's word for such a request
    """The request is none that the API server sends; the message is for its sender."""


class Builders(Protocol):
    """Where builders are looked up, as the API server has them."""

    def get(self, namespace: str, name: str) -> Params | None:
        """Return a builder, or None where there is none of that name."""

    def list(self, namespace: str) -> Iterable[Params]:
        """Return the builders of a namespace."""


class Answer(NamedTuple):
    """The response, and what a log or a counter wants to know of it."""

    review: Manifest
    """The AdmissionReview to send."""
    result: AdmissionResult
    namespace: str
    """The pod's."""
    builder: str = ""
    """Name of the builder that was asked for or that picked the pod; empty where none did."""
    message: str = ""
    """Why the pod got nothing; empty where it did, or where nobody asked."""


class _Verdict(NamedTuple):
    result: AdmissionResult
    builder: str = ""
    message: str = ""
    patch: Patch | None = None
    warnings: tuple[str, ...] = ()


def answer(webhook: WebhookName, review: Any, builders: Builders) -> Answer:
    """Return the answer to an AdmissionReview. Raises BadReview for what is none of a pod."""
    request = _request(review)
    namespace = request.get("namespace") or ""
    verdict = _judge(webhook, request, namespace, builders)
    response = {"apiVersion": API_VERSION, "kind": KIND, "response": _response(request["uid"], verdict)}
    return Answer(response, verdict.result, namespace, verdict.builder, verdict.message)


def _request(review: Any) -> Manifest:
    if not isinstance(review, dict) or (review.get("apiVersion"), review.get("kind")) != (API_VERSION, KIND):
        raise BadReview(f"The body must be an {KIND} of {API_VERSION}.")
    request = review.get("request")
    if not isinstance(request, dict) or not isinstance(request.get("uid"), str):
        raise BadReview(f"The {KIND} must have a request with a uid.")
    kind = request.get("kind")
    if kind != {"group": "", "version": "v1", "kind": "Pod"}:
        raise BadReview(f"This webhook is for pods of v1, not for {kind}.")
    return request


def _pod(request: Manifest, field: str) -> Manifest:
    pod = request.get(field)
    if not isinstance(pod, dict) or not all(isinstance(pod.get(part), dict) for part in ("metadata", "spec")):
        raise BadReview(f"The request's {field} must be a pod with metadata and spec.")
    return pod


_OPERATIONS: Final = {WebhookName.LABEL: "CREATE", WebhookName.SELECTOR: "CREATE", WebhookName.RESTORE: "UPDATE"}


def _judge(webhook: WebhookName, request: Manifest, namespace: str, builders: Builders) -> _Verdict:
    if request.get("operation") != _OPERATIONS[webhook]:
        return _Verdict(AdmissionResult.UNCHANGED)
    pod = _pod(request, "object")
    match webhook:
        case WebhookName.LABEL:
            return _serve_labelled(pod, namespace, builders)
        case WebhookName.SELECTOR:
            return _serve_selected(pod, namespace, builders)
        case WebhookName.RESTORE:
            patch = restore(_pod(request, "oldObject"), pod)
            return _Verdict(AdmissionResult.RESTORED if patch else AdmissionResult.UNCHANGED, patch=patch)


def _serve_labelled(pod: Manifest, namespace: str, builders: Builders) -> _Verdict:
    name = _labels(pod).get(names.BUILDER_LABEL)
    if name is None or has_builder(pod, name):
        return _Verdict(AdmissionResult.UNCHANGED)
    if is_marked(pod):
        return _Verdict(AdmissionResult.REFUSED, name, NOT_INJECTED.format(builder=name))
    builder = builders.get(namespace, name)
    if builder is None:
        return _Verdict(AdmissionResult.REFUSED, name, NO_BUILDER.format(builder=name, namespace=namespace))
    try:
        return _inject(Variables(pod, builder, namespace))
    except PodRefused as refused:
        return _Verdict(
            AdmissionResult.REFUSED if refused.is_permanent else AdmissionResult.RETRY, name, refused.message
        )


def _serve_selected(pod: Manifest, namespace: str, builders: Builders) -> _Verdict:
    if names.BUILDER_LABEL in _labels(pod) or is_marked(pod):
        return _Verdict(AdmissionResult.UNCHANGED)
    candidates = [builder for builder in builders.list(namespace) if _picks(builder, _labels(pod))]
    if not candidates:
        return _Verdict(AdmissionResult.UNCHANGED)
    variables = Variables(pod, min(candidates, key=lambda builder: builder.name), namespace)
    try:
        return _inject(variables)
    except PodRefused as refused:
        return _Verdict(
            AdmissionResult.PASSED_OVER,
            variables.name,
            refused.message,
            patch=note(variables.annotations, refused.message),
        )


def _picks(builder: Params, labels: Manifest) -> bool:
    """Tell whether a builder selects pods with these labels and has been rendered."""
    selector = (builder.builder["spec"].get("injection") or {}).get("podSelector") or {}
    wanted = selector.get("matchLabels") or {}
    return bool(wanted) and wanted.items() <= labels.items() and builder.is_rendered


def _inject(variables: Variables) -> _Verdict:
    return _Verdict(
        AdmissionResult.INJECTED, variables.name, patch=add_builder(variables), warnings=tuple(warnings(variables))
    )


def _labels(pod: Manifest) -> Manifest:
    return pod["metadata"].get("labels") or {}


def _response(uid: str, verdict: _Verdict) -> Manifest:
    response: Manifest = {"uid": uid, "allowed": verdict.result not in (AdmissionResult.REFUSED, AdmissionResult.RETRY)}
    if verdict.result is AdmissionResult.REFUSED:
        response["status"] = {"code": HTTPStatus.UNPROCESSABLE_ENTITY, "reason": "Invalid", "message": verdict.message}
    if verdict.result is AdmissionResult.RETRY:
        response["status"] = {
            "code": HTTPStatus.TOO_MANY_REQUESTS,
            "reason": "TooManyRequests",
            "message": verdict.message,
            "details": {"retryAfterSeconds": RETRY_SECONDS},
        }
    if verdict.patch:
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(to_json(verdict.patch)).decode()}
    if verdict.warnings:
        response["warnings"] = list(verdict.warnings)
    return response
