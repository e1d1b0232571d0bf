"""Schema validation and defaulting as the API server does them: a builder as it is stored, or the refusal. No I/O.

It is done with the CRD's own schema, in the order in which the API server goes (apiextensions-apiserver,
pkg/registry/customresource/strategy.go): unknown fields, defaults, the schema, lists, and then the rules in CEL.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Final

from buildkit_operator.api import crd, names
from buildkit_operator.cli.schema import cel_rules, lists, openapi, scale, structural
from buildkit_operator.cli.schema.field_errors import FieldError
from buildkit_operator.kube.resources import Manifest

_NOT_ALL: Final = FieldError(
    "<nil>",
    "Invalid value",
    None,
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
)


class InvalidResource(Exception):  # noqa: N818  an answer, not a failure
    """The API server would not accept the builder; the message is its own."""


@cache
def _version() -> Manifest:
    version: Manifest = crd.definition()["spec"]["versions"][0]
    return version


def _schema() -> Manifest:
    schema: Manifest = _version()["schema"]["openAPIV3Schema"]
    return schema


def created(manifest: Manifest) -> Manifest:
    """Return a builder as the API server would store it, with its namespace named already. Raises InvalidResource."""
    unknown = structural.unknown_fields(manifest, _schema())
    if unknown:
        fields = ", ".join(f'unknown field "{field}"' for field in unknown)
        raise InvalidResource(
            f'{names.KIND} in version "{names.VERSION}" cannot be handled as a {names.KIND}: '
            f"strict decoding error: {fields}"
        )
    stored = defaulted(manifest)
    sentences = list(dict.fromkeys(map(str, errors(stored))))
    if sentences:
        said = sentences[0] if len(sentences) == 1 else f"[{', '.join(sentences)}]"
        raise InvalidResource(f'{names.KIND}.{names.GROUP} "{stored["metadata"].get("name", "")}" is invalid: {said}')
    return stored


def defaulted(manifest: Manifest) -> Manifest:
    """Return a copy of a builder with its defaults filled in, without a status: whoever creates one cannot give it."""
    copied = copy.deepcopy({key: value for key, value in manifest.items() if key != "status"})
    structural.drop_nulls(copied, _schema())
    structural.fill_in(copied, _schema())
    return {key: value for key, value in copied.items() if key != "status"}


def errors(stored: Manifest) -> list[FieldError]:
    """Return what is wrong with a builder whose defaults are filled in."""
    schema, replicas = _schema(), _version()["subresources"]["scale"]["specReplicasPath"]
    found = [
        *openapi.check_name(stored),
        *openapi.check(stored, schema),
        *scale.check(stored, replicas),
        *lists.check(stored, schema),
    ]
    return [*found, _NOT_ALL] if any(error.blocks for error in found) else [*found, *cel_rules.check(stored, schema)]
