"""What the API server makes of a builder that somebody creates: its defaults, or its sentence of refusal. No I/O.

It is done with the CRD's own schema, in the order in which the API server goes (apiextensions-apiserver,
pkg/registry/customresource/strategy.go): unknown fields, defaults, the schema, lists, and then the rules in CEL.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any, Final

from buildkit_operator.api import crd, names
from buildkit_operator.cli.schema import lists, openapi, rules, scale, structural
from buildkit_operator.cli.schema.fields import FieldError

Manifest = dict[str, Any]

_NOT_ALL: Final = FieldError(
    "<nil>",
    "Invalid value",
    None,
    "some validation rules were not checked because the object was invalid; "
    "correct the existing errors to complete validation",
)


class Refused(Exception):  # noqa: N818  an answer, not a failure
    """The API server would not take the builder; the message is its own."""


@cache
def _version() -> Manifest:
    version: Manifest = crd.definition()["spec"]["versions"][0]
    return version


def _schema() -> Manifest:
    schema: Manifest = _version()["schema"]["openAPIV3Schema"]
    return schema


def created(manifest: Manifest) -> Manifest:
    """Return a builder as the API server would store it, with its namespace named already. Raises Refused."""
    stored = copy.deepcopy(manifest)
    unknown = structural.unknown_fields(stored, _schema())
    if unknown:
        fields = ", ".join(f'unknown field "{field}"' for field in unknown)
        raise Refused(
            f'{names.KIND} in version "{names.VERSION}" cannot be handled as a {names.KIND}: '
            f"strict decoding error: {fields}"
        )
    structural.drop_nulls(stored, _schema())
    # Whoever creates an object cannot give it a status.
    stored.pop("status", None)
    structural.fill_in(stored, _schema())
    del stored["status"]
    errors = list(dict.fromkeys(str(error) for error in _errors(stored)))
    if errors:
        said = errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]"
        raise Refused(f'{names.KIND}.{names.GROUP} "{stored["metadata"].get("name", "")}" is invalid: {said}')
    return stored


def _errors(stored: Manifest) -> list[FieldError]:
    schema, replicas = _schema(), _version()["subresources"]["scale"]["specReplicasPath"]
    errors = [
        *openapi.check_name(stored),
        *openapi.check(stored, schema),
        *scale.check(stored, replicas),
        *lists.check(stored, schema),
    ]
    return [*errors, _NOT_ALL] if any(error.blocks for error in errors) else [*errors, *rules.check(stored, schema)]
