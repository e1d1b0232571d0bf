"""Builders from files, validated and defaulted: those that the API server would accept, as it would store them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import ValidationError

from buildkit_operator.api import names
from buildkit_operator.api.builder import BuildKitBuilder, unreadable
from buildkit_operator.api.conditions import explained
from buildkit_operator.api.reasons import TerminalError
from buildkit_operator.cli import schema
from buildkit_operator.cli.files import BadInput, Document
from buildkit_operator.cli.messages import Messages
from buildkit_operator.kube.resources import Key, Manifest


@dataclass(frozen=True)
class GivenBuilder:
    """A builder from a file."""

    document: Document
    resource: Manifest
    """As the API server would store it, defaults filled in, without a status."""
    builder: BuildKitBuilder

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return self.builder.metadata.namespace, self.builder.metadata.name


def is_builder(document: Document) -> bool:
    """Tell whether a document is a builder. Raises BadInput for one that this version does not know."""
    group = document.manifest["apiVersion"].partition("/")[0]
    if document.kind != names.KIND and group != names.GROUP:
        return False
    if (document.manifest["apiVersion"], document.kind) != (names.API_VERSION, names.KIND):
        raise BadInput(
            f'{document.place}: no matches for kind "{document.kind}" in version "{document.manifest["apiVersion"]}": '
            f"this operator knows {names.KIND} in version {names.API_VERSION}"
        )
    return True


def accept(documents: Iterable[Document], namespace: str | None, messages: Messages) -> dict[Key, GivenBuilder]:
    """Return the builders that the API server would accept, by namespace and name; of others it says why not.

    `namespace` is for those that name none. Raises BadInput.
    """
    accepted: dict[Key, GivenBuilder] = {}
    places: dict[Key, str] = {}
    for document in documents:
        resource = placed(document, namespace)
        metadata = resource["metadata"]
        if metadata.get("generateName") and not metadata.get("name"):
            raise BadInput(f"{document.place}: give it a name: what belongs to a builder is named after it")
        key = metadata["namespace"], metadata.get("name") or ""
        if key in places:
            raise BadInput(f"{document.place}: {names.KIND} {'/'.join(key)} was given before: {places[key]}")
        places[key] = document.place
        try:
            given = _given(document, resource)
        except schema.InvalidResource as refused:
            messages.wrong(document.place, str(refused))
        except TerminalError as problem:
            messages.wrong(document.place, f"{problem.reason}: {explained(problem.reason, problem.message)}")
        else:
            accepted[key] = given
    return accepted


def placed(document: Document, namespace: str | None) -> Manifest:
    """Return an object with its namespace, `default` where nobody names one. Raises BadInput for two of them."""
    metadata = {key: value for key, value in (document.manifest.get("metadata") or {}).items() if value is not None}
    own = metadata.get("namespace")
    if own and namespace and own != namespace:
        raise BadInput(
            f'{document.place}: the namespace from the provided object "{own}" does not match the namespace '
            f"\"{namespace}\". You must pass '--namespace={own}' to perform this operation."
        )
    return {**document.manifest, "metadata": {**metadata, "namespace": own or namespace or "default"}}


def _given(document: Document, resource: Manifest) -> GivenBuilder:
    """Read a builder. Raises schema.InvalidResource, and TerminalError for what only the operator refuses."""
    stored = schema.created(resource)
    # A builder that there is not yet has neither; the first generation is 1.
    metadata = {"uid": "", "generation": 1, **stored["metadata"]}
    try:
        builder = BuildKitBuilder.model_validate({**stored, "metadata": metadata})
    except ValidationError as error:
        raise unreadable(error) from error
    return GivenBuilder(document, stored, builder)
