"""Manifest files, read as kubectl reads them: YAML or JSON, several documents, lists taken apart."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from buildkit_operator.cli import go_yaml
from buildkit_operator.kube.resources import Manifest

MAX_LEVELS: Final = 100
"""Of objects and lists within each other."""


class BadInput(Exception):  # noqa: N818  not a failure of ours
    """What was given cannot be read, or is not what a command is for; the message says where and why."""


@dataclass(frozen=True)
class Document:
    """An object, and where it was found."""

    place: str
    """File, number of the document, and of the item where it was in a list."""
    manifest: Manifest

    @property
    def kind(self) -> str:
        """The object's kind."""
        return str(self.manifest["kind"])

    @property
    def name(self) -> str:
        """What messages call the object."""
        return f"{self.kind} {(self.manifest.get('metadata') or {}).get('name') or 'without a name'}"


def read(files: Iterable[str]) -> list[Document]:
    """Return the objects of all files, `-` being standard input. Raises BadInput."""
    return [document for file in files for document in parse(_name(file), _text(file))]


def _name(file: str) -> str:
    return "standard input" if file == "-" else file


def _text(file: str) -> str:
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{_name(file)}: it is not UTF-8: {error.reason} at byte {error.start}") from error


def parse(file: str, text: str) -> Iterator[Document]:
    """Yield the objects that stand in a file's text. Raises BadInput."""
    found = False
    for number, value in enumerate(_values(file, text), start=1):
        if value is None:
            continue
        found = True
        yield from _objects(f"{file}, document {number}", value)
    if not found:
        raise BadInput(f"{file}: it is empty")


def _values(file: str, text: str) -> Iterator[Any]:
    """Yield a file's documents as JSON values, None for an empty one."""
    number = 1
    try:
        for number, value in enumerate(_parsed(text), start=1):  # noqa: B007  it is told where one fails
            # Aliases become copies: what comes of one object must not change another.
            yield json.loads(json.dumps(_bounded(value), allow_nan=False))
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if error.problem_mark is not None else ""
        raise BadInput(f"{file}: {where}{error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise BadInput(f"{file}: {' '.join(str(error).split())}") from error
    except json.JSONDecodeError as error:
        raise BadInput(f"{file}: line {error.lineno}: {error.msg}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise BadInput(f"{file}, document {number}: it cannot be written as JSON: {error}") from error


def _parsed(text: str) -> Iterator[Any]:
    return _parsed_json(text) if text.lstrip().startswith("{") else go_yaml.parse(text)


def _parsed_json(text: str) -> Iterator[Any]:
    """Yield JSON values that stand one after the other, as kubectl takes them."""
    decoder = json.JSONDecoder(object_pairs_hook=_unique)
    position = len(text) - len(text.lstrip())
    while position < len(text):
        value, end = decoder.raw_decode(text, position)
        yield value
        position = end + len(text[end:]) - len(text[end:].lstrip())


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} is set twice")
    return value


def _bounded(value: Any, levels: int = MAX_LEVELS) -> Any:
    """Return a value as it is. Raises ValueError when it is nested deeper than anything that there is."""
    if not levels:
        raise ValueError("it is nested too deeply")
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _bounded(child, levels - 1)
    return value


def _objects(place: str, value: Any) -> Iterator[Document]:
    """Yield the object that a document is, or those of the list that it is."""
    if not isinstance(value, dict):
        raise BadInput(f"{place}: it is no Kubernetes object, but a {type(value).__name__}")
    for field in ("apiVersion", "kind"):
        if not isinstance(value.get(field), str) or not value[field]:
            raise BadInput(f"{place}: it is no Kubernetes object, as it has no {field}")
    _check_metadata(place, value.get("metadata") or {})
    if value["kind"].endswith("List") and isinstance(value.get("items"), list):
        for number, item in enumerate(value["items"], start=1):
            yield from _objects(f"{place}, item {number}", item)
        return
    yield Document(place, value)


def _check_metadata(place: str, metadata: Any) -> None:
    """Raise BadInput for metadata that the API server could not read."""
    if not isinstance(metadata, dict):
        raise BadInput(f"{place}: metadata must be an object")
    for field in ("name", "namespace", "generateName", "uid"):
        if not isinstance(metadata.get(field) or "", str):
            raise BadInput(f"{place}: metadata.{field} must be a string")
    for field in ("labels", "annotations"):
        entries = metadata.get(field) or {}
        if not isinstance(entries, dict) or not all(isinstance(entry, str) for entry in entries.values()):
            raise BadInput(f"{place}: metadata.{field} must be an object whose values are strings")
