"""What the command line says of bad builders: the API server's sentences, as tests/integration/cli makes sure."""

import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from buildkit_operator.api import crd
from buildkit_operator.cli import schema
from buildkit_operator.cli.schema import InvalidResource, created
from buildkit_operator.cli.schema import cel_rules as rules_module
from buildkit_operator.cli.schema.field_errors import FieldError
from buildkit_operator.kube.resources import Manifest
from tests.support.specs import REFUSED, TAKEN

SCHEMA = crd.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def builder(name: str = "demo", **spec: Any) -> Manifest:
    return {
        "apiVersion": "buildkit-operator.dev/v1alpha1",
        "kind": "BuildKitBuilder",
        "metadata": {"name": name, "namespace": "ci"},
        "spec": {"mode": "Shared", **spec},
    }


def refusal(manifest: Manifest) -> str:
    with pytest.raises(InvalidResource) as caught:
        created(manifest)
    return str(caught.value)


def rules(node: Manifest, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield where each rule of the CRD is said to be broken, and what is said; those on changes can be kept only."""
    for rule in node.get("x-kubernetes-validations", ()):
        if "oldSelf" not in rule["rule"]:
            yield path + rule.get("fieldPath", ""), rule["message"]
    for name, child in node.get("properties", {}).items():
        yield from rules(child, f"{path}.{name}" if path else name)
    if "items" in node:
        yield from rules(node["items"], f"{path}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from rules(node["additionalProperties"], f"{path}{{}}")


def said() -> set[tuple[str, str]]:
    """Return what is said of all bad specs, with the places as `rules` writes them."""
    long = builder("a" * 41, shared={"architectures": ["arm64"]})
    bad = [builder(**spec) for spec, _, _ in REFUSED] + [builder("1st"), long]
    errors = [error for manifest in bad for error in schema.errors(schema.defaulted(manifest))]
    return {(_place(error), error.detail) for error in errors}


def _place(error: FieldError) -> str:
    path = re.sub(r"\[\d+\]", "[]", error.path)
    return "" if path == "<nil>" else re.sub(r"\[[^\]]+\]", "{}", path)


@pytest.mark.parametrize(("spec", "path", "sentence"), REFUSED)
def test_bad_input_is_refused_with_its_place_and_a_sentence(spec: Manifest, path: str, sentence: str) -> None:
    message = refusal(builder(**spec))

    assert message.startswith('BuildKitBuilder.buildkit-operator.dev "demo" is invalid: ')
    assert f"{path}: " in message
    assert sentence in message


@pytest.mark.parametrize("spec", TAKEN)
def test_good_input_is_taken_as_it_is_with_defaults(spec: Manifest) -> None:
    stored = created(builder(**spec))

    assert stored["spec"]["mode"] == spec.get("mode", "Shared")
    assert stored["spec"]["imagePullPolicy"] == "IfNotPresent"
    assert "status" not in stored


def test_each_rule_of_the_crd_is_broken_by_a_bad_spec() -> None:
    missed = set(rules(SCHEMA)) - said()

    assert sorted(missed) == []


def test_what_is_given_is_not_changed() -> None:
    given = builder(image=None, shared={"tls": None})

    created(given)

    assert given == builder(image=None, shared={"tls": None})


def test_the_sentence_of_a_single_error_is_the_api_servers() -> None:
    assert refusal(builder(mode="Sidecar", shared={})) == (
        'BuildKitBuilder.buildkit-operator.dev "demo" is invalid: '
        "spec.shared: Invalid value: shared is only for mode Shared; remove it or set mode to Shared"
    )


def test_rules_are_not_asked_where_what_they_rely_on_is_wrong() -> None:
    message = refusal(builder(mode="Both", cache={"size": "none"}))

    assert "spec.cache.size" not in message
    assert (
        "<nil>: Invalid value: null: some validation rules were not checked because the object was invalid; "
        "correct the existing errors to complete validation]"
    ) in message


def test_unknown_fields_are_told_together() -> None:
    given = builder(chache={}, shared={"replica": 2, "pod": {"affinity": {"any": 1}}}) | {"extra": 1}
    given["metadata"]["label"] = {}

    assert refusal(given) == (
        'BuildKitBuilder in version "v1alpha1" cannot be handled as a BuildKitBuilder: strict decoding error: '
        'unknown field "metadata.label", unknown field "extra", unknown field "spec.chache", '
        'unknown field "spec.shared.pod.affinity.any", unknown field "spec.shared.replica"'
    )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("", "metadata.name: Required value: name or generateName is required"),
        ("a_b", 'metadata.name: Invalid value: "a_b": a lowercase RFC 1123 subdomain must consist of lower case'),
        ("a" * 254, "must be no more than 253 characters"),
        ("a.b", "the name of a builder must begin with a letter and hold only a-z, 0-9 and -"),
        ("a" * 41, "the name of a builder may have at most 40 characters"),
    ],
)
def test_a_bad_name_is_refused(name: str, sentence: str) -> None:
    assert sentence in refusal(builder(name))


def test_a_name_is_to_leave_room_for_an_architecture_where_there_is_one() -> None:
    said = "the name of a builder with shared.architectures may have at most 32 characters"

    assert said in refusal(builder("a" * 33, shared={"architectures": ["arm64"]}))
    assert said not in refusal(builder("a" * 33, shared={"architectures": [], "replica": 1}))


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ('a "b"\\\n', r'"a \"b\"\\\n"'),
        ("\x01\x7f\u200b", r'"\x01\x7f\u200b"'),
        ("\U000e0001é", r'"\U000e0001é"'),
        (True, "true"),
        (-1, "-1"),
        (1.5, "1.5"),
        ({"b": "<", "a": None}, r'{"a":null,"b":"\u003c"}'),
    ],
)
def test_values_are_told_as_go_tells_them(value: object, told: str) -> None:
    assert str(FieldError("spec", "Invalid value", value)) == f"spec: Invalid value: {told}"


def test_the_interpreter_is_left_as_it_was() -> None:
    limit = sys.getrecursionlimit()
    rules_module._environment.cache_clear()  # whichever test came first

    created(builder())
    rules_module.check("", {"x-kubernetes-validations": [{"rule": "self == ''", "message": "never"}]})

    assert sys.getrecursionlimit() == limit
