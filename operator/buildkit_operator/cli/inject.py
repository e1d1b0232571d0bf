"""The command `inject`: prints pods as they would be after admission, without a cluster."""

from __future__ import annotations

import argparse
import base64
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import jsonpatch

from buildkit_operator.admission import review
from buildkit_operator.admission.injected import has_builder, is_marked
from buildkit_operator.admission.matching import ENABLED, MIRROR_ANNOTATION, NotAsked, why_not_asked
from buildkit_operator.admission.params import Params
from buildkit_operator.admission.review import AdmissionResult, Answer, WebhookName
from buildkit_operator.api import names
from buildkit_operator.cli import builder_files, files, pod_templates
from buildkit_operator.cli.assumed_cluster import AssumedCluster
from buildkit_operator.cli.builder_files import GivenBuilder
from buildkit_operator.cli.files import Document
from buildkit_operator.cli.messages import Exit, Messages
from buildkit_operator.cli.offline import render_builder
from buildkit_operator.cli.output import Shown
from buildkit_operator.cli.pod_templates import PodTemplate
from buildkit_operator.cli.render import tell, write
from buildkit_operator.kube.resources import Key, Manifest

_NOT_THERE: Final = "nothing is injected: "
_UNKNOWN: Final = "a-controller-that-is-made-in-the-cluster"


@dataclass(frozen=True)
class StoredBuilders(review.Builders):
    """The builders that were given, as the API server would have them after the operator has looked at them."""

    resources: dict[Key, Manifest]

    def get(self, namespace: str, name: str) -> Params | None:
        """See Builders."""
        resource = self.resources.get((namespace, name))
        return None if resource is None else Params(resource)

    def list(self, namespace: str) -> Iterable[Params]:
        """See Builders."""
        return [Params(resource) for (of, _), resource in self.resources.items() if of == namespace]


def run(arguments: argparse.Namespace) -> int:
    """Print pods, and objects that make pods, with their builder; return the exit status."""
    messages = Messages()
    try:
        shown = _injected(arguments, messages)
    except files.BadInput as bad:
        sys.stderr.write(f"{bad}\n")
        return Exit.BAD_INPUT
    if shown:
        write(shown, arguments.output, messages, as_list=False)
    return messages.exit


def _injected(arguments: argparse.Namespace, messages: Messages) -> list[Shown]:
    """Return all that is to be printed. Raises BadInput."""
    found, templates = [], []
    for document in files.read(arguments.files):
        if builder_files.is_builder(document):
            found.append(document)
        elif (template := pod_templates.find(document)) is not None:
            templates.append(template)
        else:
            messages.note(document.place, f"{document.name} is passed over")
    if not templates:
        raise files.BadInput(f"there is no pod, and nothing that makes pods, in {', '.join(arguments.files)}")
    cluster = AssumedCluster.of(arguments)
    stored = _stored(found, arguments.namespace, cluster, messages)
    shown = [_admitted(template, arguments.namespace, cluster, stored, messages) for template in templates]
    return [one for one in shown if one is not None]


def _stored(
    documents: Iterable[Document], namespace: str | None, cluster: AssumedCluster, messages: Messages
) -> StoredBuilders:
    accepted = builder_files.accept(documents, namespace, messages)
    return StoredBuilders(
        {
            key: {**given.resource, "status": _status(given, cluster, accepted, messages)}
            for key, given in accepted.items()
        }
    )


def _status(
    given: GivenBuilder, cluster: AssumedCluster, accepted: dict[Key, GivenBuilder], messages: Messages
) -> Manifest:
    """Return the status of a builder: its own where it comes from a cluster, else what the operator would write."""
    own = given.document.manifest.get("status")
    if own and isinstance(own, dict):
        return own
    result = render_builder(given, cluster, accepted)
    tell(given, result, messages)
    if result.problem is None or result.injection is not None:
        return {"injection": result.injection}
    return {"conditions": [{"type": "Ready", "status": "False", "message": result.problem.message}]}


def _admitted(
    template: PodTemplate, namespace: str | None, cluster: AssumedCluster, stored: StoredBuilders, messages: Messages
) -> Shown | None:
    """Return what the API server would store, None where it would refuse it."""
    resource = builder_files.placed(template.document, namespace)
    where = f"{template.document.place}: {template.document.name}"
    own_namespace = resource["metadata"]["namespace"]
    pod = template.pod if template.path else {**template.pod, "metadata": resource["metadata"]}
    why_not = _out_of_scope(pod, own_namespace, cluster)
    if why_not:
        messages.wrong(where, _NOT_THERE + why_not)
        return Shown(resource)
    answer = _ask(_as_made(template, pod), own_namespace, stored)
    if answer.result in (AdmissionResult.REFUSED, AdmissionResult.RETRY):
        messages.wrong(where, answer.message)
        return None
    if answer.result is AdmissionResult.UNCHANGED:
        _tell_unchanged(pod, where, messages)
        return Shown(resource)
    if answer.result is AdmissionResult.PASSED_OVER:
        messages.wrong(where, answer.message)
    for warning in answer.review["response"].get("warnings", ()):
        messages.note(where, f"Warning: {warning}")
    patched, remark = _as_template(template, pod, _patched(_as_made(template, pod), answer))
    return Shown(template.with_pod(resource, patched), remark)


def _out_of_scope(pod: Manifest, namespace: str, cluster: AssumedCluster) -> str:
    """Return why nobody asks for a builder for the pod, an empty string where somebody does."""
    match why_not_asked(pod, namespace, cluster.labels):
        case None:
            return ""
        case NotAsked.NAMESPACE:
            return f"pods of namespace {namespace} are left alone"
        case NotAsked.MIRROR:
            return f"it is a mirror pod, by its annotation {MIRROR_ANNOTATION}, and runs from a file of its node's"
        case NotAsked.UNLABELLED:
            return (
                f"it has no label {names.BUILDER_LABEL}, and builders pick pods only in namespaces with the label "
                f"{names.INJECTION_LABEL}={ENABLED}: --namespace-label gives it"
            )


def _as_made(template: PodTemplate, pod: Manifest) -> Manifest:
    """Return the pod as a controller makes it by the template: it belongs to it, and is named after it."""
    if not template.path:
        return pod
    owner = {"name": template.maker or _UNKNOWN, "controller": True}
    return {**pod, "metadata": {**pod["metadata"], "ownerReferences": [owner]}}


def _ask(pod: Manifest, namespace: str, stored: StoredBuilders) -> Answer:
    is_labelled = names.BUILDER_LABEL in (pod["metadata"].get("labels") or {})
    request = {
        "uid": "",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "operation": "CREATE",
        "namespace": namespace,
        "object": pod,
    }
    asked = {"apiVersion": review.API_VERSION, "kind": review.KIND, "request": request}
    return review.answer(WebhookName.LABEL if is_labelled else WebhookName.SELECTOR, asked, stored)


def _patched(pod: Manifest, answer: Answer) -> Manifest:
    patch = json.loads(base64.b64decode(answer.review["response"]["patch"]))
    patched: Manifest = jsonpatch.JsonPatch(patch).apply(pod)
    return patched


def _as_template(template: PodTemplate, pod: Manifest, patched: Manifest) -> tuple[Manifest, str]:
    """Return the pod as it stands in its object, with a remark on what is known in the cluster only."""
    if not template.path:
        return patched, ""
    metadata = {key: value for key, value in patched["metadata"].items() if key != "ownerReferences"}
    given = pod["metadata"].get("annotations") or {}
    if (
        template.maker
        or names.CACHE_KEY_ANNOTATION in given
        or names.CACHE_KEY_ANNOTATION not in (metadata.get("annotations") or {})
    ):
        return {**patched, "metadata": metadata}, ""
    annotations = {key: value for key, value in metadata["annotations"].items() if key != names.CACHE_KEY_ANNOTATION}
    remark = (
        f"Its pods also get the annotation {names.CACHE_KEY_ANNOTATION}, by the name of the controller that makes them."
    )
    return {**patched, "metadata": {**metadata, "annotations": annotations}}, remark


def _tell_unchanged(pod: Manifest, where: str, messages: Messages) -> None:
    builder = (pod["metadata"].get("labels") or {}).get(names.INJECTED_LABEL, "")
    if has_builder(pod, builder):
        messages.note(where, f"it has {names.KIND} {builder} already, and is left as it is")
    elif is_marked(pod):
        messages.wrong(where, f"{_NOT_THERE}it is labelled {names.INJECTED_LABEL} already, and is left as it is")
    else:
        labels = f"it has no label {names.BUILDER_LABEL}"
        messages.wrong(where, f"{_NOT_THERE}{labels}, and no builder that was given picks pods with its labels")
