"""Pod templates: pods, and where other objects have the template by which they make pods. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field, ValidationError

from buildkit_operator.cli.files import BadInput, Document
from buildkit_operator.kube.resources import Manifest

_TEMPLATES: Final = (
    ("spec", "jobTemplate", "spec", "template"),
    ("spec", "template"),
    ("spec", "podTemplateSpec"),
    ("spec", "podTemplate"),
    ("template",),
)
"""Where objects keep their pods' template: CronJob; most others; and those of some operators; PodTemplate."""

_MAKERS: Final = frozenset({"DaemonSet", "Job", "ReplicaSet", "ReplicationController", "StatefulSet"})
"""Kinds that make pods themselves, and not others that make them."""


@dataclass(frozen=True)
class PodTemplate:
    """A pod, or the template of one within an object."""

    document: Document
    path: Sequence[str]
    """Where it stands in the object; empty: it is the object."""
    pod: Manifest
    """With metadata and spec."""

    @property
    def maker(self) -> str | None:
        """Name of the controller that pods made by the template have; None where it is made up in the cluster."""
        name: str | None = (self.document.manifest.get("metadata") or {}).get("name")
        return name if self.path and self.document.kind in _MAKERS else None

    def with_pod(self, resource: Manifest, pod: Manifest) -> Manifest:
        """Return the object with another pod in its place."""
        return pod if not self.path else _replaced(resource, self.path, pod)


def find(document: Document) -> PodTemplate | None:
    """Return the pod that a document is or makes, None where it makes none. Raises BadInput for one that is no pod."""
    if (document.manifest["apiVersion"], document.kind) == ("v1", "Pod"):
        return _checked(document, (), document.manifest)
    for path in _TEMPLATES:
        found = _at(document.manifest, path)
        if isinstance(found, dict) and isinstance(found.get("spec"), dict) and "containers" in found["spec"]:
            return _checked(document, path, found)
    return None


def _at(value: Any, path: Sequence[str]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _replaced(value: Manifest, path: Sequence[str], pod: Manifest) -> Manifest:
    name, *rest = path
    return {**value, name: _replaced(value[name], rest, pod) if rest else pod}


class _Named(BaseModel):
    name: str


class _Mount(_Named):
    mountPath: str  # noqa: N815  as Kubernetes has it, as all of these


class _Container(_Named):
    env: list[_Named] | None = None
    volumeMounts: list[_Mount] | None = None  # noqa: N815


class _Owner(_Named):
    controller: bool | None = None


class _Metadata(BaseModel):
    name: str | None = None
    generateName: str | None = None  # noqa: N815
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    ownerReferences: list[_Owner] | None = None  # noqa: N815


class _System(BaseModel):
    name: str


class _Spec(BaseModel):
    containers: Annotated[list[_Container], Field(min_length=1)]
    initContainers: list[_Container] | None = None  # noqa: N815
    volumes: list[_Named] | None = None
    nodeSelector: dict[str, str] | None = None  # noqa: N815
    os: _System | None = None
    hostUsers: bool | None = None  # noqa: N815


class _Pod(BaseModel):
    """The part of a pod that admission looks at; the API server checks the rest."""

    metadata: _Metadata | None = None
    spec: _Spec


def _checked(document: Document, path: Sequence[str], pod: Manifest) -> PodTemplate:
    pod = _without_nulls(pod)
    try:
        _Pod.model_validate(pod, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join([*path, *map(str, first["loc"])])
        raise BadInput(f"{document.place}: {document.name} is none: {field}: {first['msg']}") from error
    return PodTemplate(document, path, {**pod, "metadata": pod.get("metadata", {})})


def _without_nulls(value: Any) -> Any:
    """Return a value without the nulls in it, which the API server takes for nothing."""
    if isinstance(value, dict):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
