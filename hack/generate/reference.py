"""Reference documentation: docs/reference.md, rendered from the CRD, the names and the settings of the code."""

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from buildkit_operator import settings
from buildkit_operator.api import crd, names
from buildkit_operator.api.reasons import Reason
from hack.generate.paths import REFERENCE

Schema = dict[str, Any]

HEAD: Final = f"""\
<!-- Generated from operator/buildkit_operator by `make generate`; do not edit. -->

# Reference

Every field of the resource, every name that it uses in the cluster, and every setting of the processes, as the code has
them. `kubectl explain {names.SHORT_NAME}.spec --recursive` shows the fields for the version that a cluster has.
"""

PROCESSES: Final = (
    ("All processes", settings.CommonSettings),
    ("The operator", settings.Settings),
    ("The webhook", settings.WebhookSettings),
)

CHILDREN: Final[tuple[Callable[[str], str], ...]] = (
    names.daemon,
    names.headless,
    names.sidecar,
    names.connector,
    names.authority_secret,
    names.server_secret,
    names.client_secret,
    names.connection_secret,
)


def files() -> Mapping[Path, str]:
    """Return the text of the file."""
    return {REFERENCE: render()}


def render() -> str:
    """Return the page, the same bytes each time."""
    blocks = [HEAD.rstrip(), *_resource(), *_names(), *_settings()]
    return "\n\n".join(blocks) + "\n"


# The resource


def _resource() -> Iterator[str]:
    spec = crd.definition()["spec"]
    (version,) = spec["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    yield f"## {spec['names']['kind']}"
    yield schema["description"]
    yield _table(
        ("what", "value"),
        [
            ("`apiVersion`", f"`{spec['group']}/{version['name']}`"),
            ("`kind`", f"`{spec['names']['kind']}`"),
            ("for kubectl", ", ".join(f"`{word}`" for word in _words(spec["names"]))),
            ("category", ", ".join(f"`{word}`" for word in spec["names"]["categories"])),
            ("scope", spec["scope"]),
            ("subresources", ", ".join(f"`{name}`" for name in version["subresources"])),
        ],
    )
    yield _rules(schema, "")
    yield "### Columns"
    yield f"`kubectl get {names.SHORT_NAME}` shows these; those marked wide with `-o wide` only."
    yield _table(
        ("column", "from", "wide", "meaning"),
        [
            (column["name"], f"`{column['jsonPath']}`", "wide" if column["priority"] else "", column["description"])
            for column in version["additionalPrinterColumns"]
        ],
    )
    for part in ("spec", "status"):
        yield from _sections(schema["properties"][part], part)
    yield "### Reasons"
    yield (
        "The reasons of conditions, each with its page ([overview](reasons/index.md)): "
        + ", ".join(f"[{reason}](reasons/{reason}.md)" for reason in Reason)
        + "."
    )


def _words(spoken: Schema) -> Sequence[str]:
    return [*spoken["shortNames"], spoken["singular"], spoken["plural"]]


def _sections(schema: Schema, path: str) -> Iterator[str]:
    """Yield the section of an object, and of each object within it."""
    if not schema.get("properties"):
        return
    yield f"### {path}"
    yield schema["description"]
    required = schema.get("required", ())
    yield _table(
        ("field", "type", "default", "meaning"),
        [
            (
                f"`{name}`" + (" (required)" if name in required else ""),
                _type(field, f"{path}.{name}"),
                _default(field),
                field["description"],
            )
            for name, field in schema["properties"].items()
        ],
    )
    rules = [_rules(schema, ""), *(_rules(field, name) for name, field in schema["properties"].items())]
    if any(rules):
        yield "\n".join(rule for rule in rules if rule)
    for name, field in schema["properties"].items():
        inner, below = _innermost(field, f"{path}.{name}")
        yield from _sections(inner, below)


def _innermost(field: Schema, path: str) -> tuple[Schema, str]:
    return (field["items"], f"{path}[]") if "items" in field else (field, path)


def _type(field: Schema, path: str) -> str:
    """Return what a field takes, in words: its type, with its limits, or the values that there are."""
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "items" in field:
        return f"list{_limit(field, 'Items', 'items')} of {_type(field['items'], f'{path}[]')}"
    if "properties" in field:
        return f"[object](#{_anchor(path)})"
    if isinstance(field.get("additionalProperties"), dict):
        return f"map{_limit(field, 'Properties', 'entries')} to {_type(field['additionalProperties'], path)}"
    if field.get("x-kubernetes-int-or-string"):
        return "integer or string"
    said = field["type"] + _limit(field, "Length", "characters") + _range(field)
    if field["type"] == "string" and "format" in field:
        said += f", `{field['format']}`"
    if "pattern" in field:
        said += f" like `{field['pattern']}`"
    return str(said).rstrip(",")


def _limit(field: Schema, what: str, unit: str) -> str:
    least, most = field.get(f"min{what}"), field.get(f"max{what}")
    if most is None:
        return f", at least {least} {unit}," if least else ""
    return f", {least} to {most} {unit}," if least else f", up to {most} {unit},"


def _range(field: Schema) -> str:
    least, most = field.get("minimum"), field.get("maximum")
    if most is None:
        return f", at least {least}" if least is not None else ""
    return f", {least} to {most}"


def _default(field: Schema) -> str:
    default = field.get("default")
    if default is None or default == {}:
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default}`"


def _rules(schema: Schema, name: str) -> str:
    """Return a list of the rules on a value, and on what it holds where that is no object with a section."""
    nested = [part for key in ("items", "additionalProperties") if isinstance(part := schema.get(key), dict)]
    holders = [schema, *(part for part in nested if name and "properties" not in part)]
    rules = [rule for holder in holders for rule in holder.get("x-kubernetes-validations", ())]
    # The rules on an object stand in its own section.
    if name and "properties" in schema:
        return ""
    return "\n".join(f"- {_subject(name, rule)}{rule['message']}\n  `{rule['rule']}`" for rule in rules)


def _subject(name: str, rule: Schema) -> str:
    field = name or rule.get("fieldPath", "").removeprefix(".")
    return f"`{field}`: " if field else ""


# Names


def _names() -> Iterator[str]:
    yield "## Labels and annotations"
    yield _table(
        ("key", "where and what"),
        [
            (f"`{getattr(names, name)}`", text)
            for name, text in _documented_constants()
            if name.endswith(("_LABEL", "_ANNOTATION", "_HASH"))
        ],
    )
    reserved = ", ".join(f"`{prefix}`" for prefix in names.RESERVED_PREFIXES)
    yield f"`spec.shared.pod` and `spec.shared.service` may set no label or annotation that begins with {reserved}."
    yield "## Objects of a builder"
    yield _table(
        ("name", "what"),
        [(f"`{name('<builder>')}`", _noun(name)) for name in CHILDREN],
    )


def _noun(name: Callable[[str], str]) -> str:
    """Return what a function names, from its docstring."""
    said = (name.__doc__ or "").removeprefix("Name the ")
    return said[0].upper() + said[1:]


def _documented_constants() -> Iterator[tuple[str, str]]:
    """Yield the constants of api/names.py with the text beneath each."""
    body = ast.parse(inspect.getsource(names)).body
    for constant, text in pairwise(body):
        match constant, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                yield name, _one_line(said)
            case _:
                pass


# Settings


def _settings() -> Iterator[str]:
    yield "## Settings"
    yield "Environment variables of the containers. A variable that is not set has its default."
    for title, kind in PROCESSES:
        inherited = () if kind is settings.CommonSettings else settings.CommonSettings.model_fields
        yield f"### {title}"
        yield _table(
            ("variable", "default", "meaning"),
            [
                (f"`{settings.PREFIX}{name.upper()}`", _setting_default(field), _setting_meaning(field))
                for name, field in kind.model_fields.items()
                if name not in inherited
            ],
        )


def _setting_default(field: FieldInfo) -> str:
    default = field.default
    # Of an object, the text says what its default is.
    if default is PydanticUndefined or default in ("", ()) or isinstance(default, BaseModel):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _setting_meaning(field: FieldInfo) -> str:
    said = _one_line(field.description or "")
    if get_origin(field.annotation) is not Literal:
        return said
    return f"{said} One of {', '.join(f'`{value}`' for value in get_args(field.annotation))}."


# Markdown


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    drawn = [f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines]
    return "\n".join([drawn[0], "|---" * len(head) + "|", *drawn[1:]])


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _anchor(heading: str) -> str:
    """Return the anchor that GitHub and Python-Markdown alike give a heading."""
    return "".join(letter for letter in heading.lower() if letter.isalnum() or letter in "-_")
