"""Pods and builders for the tests of this folder, and an API server's way with a JSON Patch."""

import base64
import copy
import json
from collections.abc import Iterable
from typing import Any, Final

from buildkit_operator.admission.params import Params
from buildkit_operator.admission.review import Answer, WebhookName, answer
from buildkit_operator.kube.resources import Manifest

SOCKET: Final = {"name": "buildkit-socket", "mountPath": "/run/buildkit"}
SIDECAR: Final = {"name": "buildkitd", "image": "buildkit", "restartPolicy": "Always", "volumeMounts": [SOCKET]}


def make_builder(name: str = "demo", *, ready: str | None = None, rendered: bool = True, **spec: Any) -> Manifest:
    """Return a builder as the API server has it; `ready` is the message of its condition."""
    injection = {
        "initContainers": [SIDECAR],
        "volumes": [{"name": "buildkit-socket", "emptyDir": {}}, {"name": "buildkit-state", "emptyDir": {}}],
        "env": [{"name": "BUILDKIT_HOST", "value": "unix:///run/buildkit/buildkitd.sock"}],
        "buildxEnv": [
            {"name": "BUILDX_BUILDER", "value": "buildkit"},
            {"name": "BUILDX_CONFIG", "value": "/run/buildkit/buildx/{container}"},
        ],
        "volumeMounts": [SOCKET],
        "labels": {"buildkit-operator.dev/injected": name, "buildkit-operator.dev/owner": name},
    }
    status: Manifest = {"observedGeneration": 1}
    if rendered:
        status["injection"] = injection
    if ready is not None:
        status["conditions"] = [{"type": "Stalled", "message": "no"}, {"type": "Ready", "message": ready}]
    return {
        "metadata": {"name": name, "namespace": "ci"},
        "spec": {"mode": "Sidecar", "isolation": "Rootless", **spec},
        "status": status,
    }


def make_pod(builder: str | None = "demo", **spec: Any) -> Manifest:
    """Return a pod that asks for a builder, with one container unless its spec says otherwise."""
    labels = {} if builder is None else {"labels": {"buildkit-operator.dev/builder": builder}}
    return {"metadata": {"name": "job", **labels}, "spec": {"containers": [{"name": "job", "image": "app"}], **spec}}


class Builders:
    """A namespace's builders."""

    def __init__(self, *builders: Manifest) -> None:
        self._builders = [Params(builder) for builder in builders]

    def get(self, namespace: str, name: str) -> Params | None:
        """Return one of them."""
        return next((builder for builder in self.list(namespace) if builder.name == name), None)

    def list(self, namespace: str) -> Iterable[Params]:
        """Return all."""
        return [one for one in self._builders if one.builder["metadata"]["namespace"] == namespace]


def make_review(pod: Manifest, *, operation: str = "CREATE", old: Manifest | None = None) -> Manifest:
    """Return what the API server asks."""
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "7a1e",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "namespace": "ci",
            "operation": operation,
            "object": pod,
            "oldObject": old,
        },
    }


def ask(pod: Manifest, *builders: Manifest, webhook: WebhookName = WebhookName.LABEL) -> Answer:
    """Ask for the answer on a pod that is created."""
    return answer(webhook, make_review(pod), Builders(*builders))


def patched(pod: Manifest, given: Answer) -> Manifest:
    """Return the pod as the API server has it after the answer."""
    encoded = given.review["response"].get("patch")
    return apply(pod, json.loads(base64.b64decode(encoded))) if encoded else pod


def apply(document: Manifest, patch: list[Manifest]) -> Manifest:
    """Return a copy of the document with a JSON Patch applied, as strictly as RFC 6902 has it."""
    result = copy.deepcopy(document)
    for operation in patch:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        target: Any = result
        for part in parents:
            target = target[int(part)] if isinstance(target, list) else target[part]
        if operation["op"] == "remove":
            del target[last]
        elif isinstance(target, list):
            position = len(target) if last == "-" else int(last)
            assert position <= len(target), operation
            target.insert(position, operation["value"])
        else:
            target[last] = operation["value"]
    return result
