"""The CustomResourceDefinition, generated from the models: pydantic's JSON schema turned into a structural one."""

from __future__ import annotations

from typing import Any

from buildkit_operator.api import generated, names
from buildkit_operator.api.builder import BuilderSpec, BuildKitBuilder
from buildkit_operator.api.field_types import DNS_LABEL
from buildkit_operator.api.fields import rule
from buildkit_operator.api.status import BuilderStatus

Schema = dict[str, Any]

_READY = '.status.conditions[?(@.type=="Ready")]'
_LETTER_FIRST = DNS_LABEL.replace("^[a-z0-9]", "^[a-z]")

_COLUMNS = (
    ("Mode", "string", ".spec.mode", 0, "How jobs get BuildKit."),
    ("Ready", "string", f"{_READY}.status", 0, "Whether the builder can be used now."),
    ("Reason", "string", f"{_READY}.reason", 0, "Why it can or cannot: one word."),
    ("Endpoint", "string", ".status.endpoint", 0, "Address for buildctl and buildx."),
    ("Age", "date", ".metadata.creationTimestamp", 0, "Time since the builder was made."),
    ("Image", "string", ".status.image", 1, "Image that the daemon runs."),
    ("Replicas", "integer", ".status.readyReplicas", 1, "Number of daemons that answer."),
    ("Pods", "integer", ".status.pods.injected", 1, "Number of runner pods that have its sidecar."),
    ("Message", "string", f"{_READY}.message", 1, "Why it can or cannot be used, in a sentence."),
)

_UNSEEN = {"observedGeneration": -1}

_NAME_RULES = (
    rule(
        f"self.metadata.name.size() <= {names.MAX_NAME_LENGTH}",
        f"the name of a builder may have at most {names.MAX_NAME_LENGTH} characters, so that names made from it fit",
    ),
    rule(
        f"self.metadata.name.matches('{_LETTER_FIRST}')",
        "the name of a builder must begin with a letter and hold only a-z, 0-9 and -, as its Service is named after it",
    ),
    rule(
        f"self.metadata.name.size() <= {names.MAX_NAME_LENGTH_WITH_ARCHITECTURES} || !has(self.spec.shared) || "
        "!has(self.spec.shared.architectures) || self.spec.shared.architectures.size() == 0",
        f"the name of a builder with shared.architectures may have at most {names.MAX_NAME_LENGTH_WITH_ARCHITECTURES} "
        "characters, so that names made from both fit",
    ),
)


def definition() -> Schema:
    """Return the CustomResourceDefinition as a manifest."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.PLURAL}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": [names.SHORT_NAME],
                "categories": [names.CATEGORY],
            },
            "versions": [_version()],
        },
    }


def _version() -> Schema:
    return {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _object_schema()},
        "subresources": {
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.shared.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            },
        },
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path, "priority": priority, "description": description}
            for name, kind, path, priority, description in _COLUMNS
        ],
    }


def _object_schema() -> Schema:
    return {
        "description": _docstring(BuildKitBuilder),
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(BuilderSpec.model_json_schema(by_alias=True)),
            # Without conditions kstatus calls an object ready; observedGeneration -1 says that nobody has looked yet.
            "status": {**structural(BuilderStatus.model_json_schema(by_alias=True)), "default": _UNSEEN},
        },
        "x-kubernetes-validations": list(_NAME_RULES),
    }


def render() -> str:
    """Return the definition as YAML, the same bytes each time."""
    return generated.render("operator/buildkit_operator/api", [definition()])


def structural(schema: Schema) -> Schema:
    """Return a JSON schema of pydantic's as a structural one, which is what the API server takes.

    References are inlined, alternatives with null become optional fields, titles go, and one-value enums stand in for
    constants (apiextensions-apiserver, pkg/apis/apiextensions/v1/types_jsonschema.go).
    """
    return _convert(schema, schema.get("$defs", {}))


def _convert(node: Schema, definitions: Schema) -> Schema:
    node = _resolve(node, definitions)
    result = {key: node[key] for key in _ORDER if key in node}
    result |= {key: value for key, value in node.items() if key not in _DROPPED}
    if "properties" in node:
        result["properties"] = {name: _convert(child, definitions) for name, child in node["properties"].items()}
    if "items" in node:
        result["items"] = _convert(node["items"], definitions)
    if isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = _convert(node["additionalProperties"], definitions)
    if "const" in node:
        result["enum"] = [result.pop("const")]
    if node.get("x-kubernetes-preserve-unknown-fields"):
        result.pop("additionalProperties", None)
    if node.get("x-kubernetes-int-or-string"):
        result.pop("type", None)
    if node.get("type") == "integer":
        result.setdefault("format", "int32")
    if "description" in result:
        result["description"] = " ".join(result["description"].split())
    return _with_default(result)


def _with_default(node: Schema) -> Schema:
    """Return the node with a default only where it tells something.

    An object's default is empty, so that the defaults of its fields apply one by one and are written down once.
    """
    default = node.pop("default", None)
    if isinstance(default, dict):
        nested = any("default" in child for child in node.get("properties", {}).values())
        return node | {"default": {}} if nested else node
    return node if default is None or default == [] else node | {"default": default}


_ORDER = ("description", "type", "format", "enum", "default")
_DROPPED = frozenset({"$defs", "title", "propertyNames"})


def _resolve(node: Schema, definitions: Schema) -> Schema:
    """Return the node with its reference inlined and its null alternative gone; what it says itself wins."""
    if "anyOf" in node:
        (only,) = (child for child in node["anyOf"] if child.get("type") != "null")
        node = only | {key: value for key, value in node.items() if key != "anyOf"}
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[-1]]
        node = target | {key: value for key, value in node.items() if key != "$ref"}
    return node


def _docstring(model: type) -> str:
    return (model.__doc__ or "").strip()
