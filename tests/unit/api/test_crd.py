"""The generated definition: fresh, small, and with a description and a bound for everything."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from buildkit_operator.__main__ import main
from buildkit_operator.api import crd, names
from tests.support.specs import BESIDE_FROM, NOT_BESIDE_FROM

FILE = Path(__file__).parents[3] / "crds" / "buildkitbuilders.yaml"
VERSION = crd.definition()["spec"]["versions"][0]
SCHEMA = VERSION["schema"]["openAPIV3Schema"]

OPEN = {".status.injection.initContainers[]", ".status.injection.volumes[]"}
"""Objects of the status that may have fields of any name: containers and volumes, which only the operator writes."""


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each schema with its path: fields, items as [], values of maps as {}."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    if "items" in schema:
        yield from nodes(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        yield from nodes(schema["additionalProperties"], f"{path}{{}}")


ALL = dict(nodes(SCHEMA))
SPEC = {path: node for path, node in ALL.items() if path.startswith(".spec.")}
FIELDS = [path for path in ALL if path.startswith((".spec", ".status")) and not path.endswith(("[]", "{}"))]


def test_the_file_is_what_the_models_give() -> None:
    assert FILE.read_text() == crd.render(), "run `make generate`"


def test_the_command_line_prints_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crds"]) == 0
    assert capsys.readouterr().out == crd.render()


def test_it_is_small_enough_for_client_side_apply() -> None:
    # What kubectl keeps in an annotation, which may have 256 KiB.
    assert len(json.dumps(crd.definition(), separators=(",", ":"))) < 128 * 1024


def test_the_yaml_says_what_the_definition_says() -> None:
    assert yaml.safe_load(crd.render()) == crd.definition()


@pytest.mark.parametrize("path", FIELDS)
def test_a_field_has_a_description_of_one_line_that_is_a_sentence(path: str) -> None:
    description = ALL[path].get("description", "")

    assert description.endswith("."), path
    assert description[0].isupper(), path
    assert "\n" not in description


@pytest.mark.parametrize("path", FIELDS + [path for path in ALL if path.endswith(("[]", "{}"))])
def test_what_is_written_is_bounded(path: str) -> None:
    node = ALL[path]
    bounded: set[str] = {
        "string": {"maxLength", "enum"},
        "array": {"maxItems"},
        "integer": {"maximum"},
        "object": {"maxProperties", "properties"},
        "boolean": {"type"},
        None: {"maxLength"},  # an integer or a string
    }[node.get("type")]

    assert bounded & node.keys(), path


def test_nothing_but_containers_and_volumes_has_fields_of_any_name() -> None:
    assert {path for path, node in ALL.items() if node.get("x-kubernetes-preserve-unknown-fields")} == OPEN
    assert {path for path, node in ALL.items() if node.get("type") == "object" and not node.keys() & HELD} == {
        ".metadata"
    }


HELD = {"properties", "additionalProperties"}


@pytest.mark.parametrize("path", [path for path, node in SPEC.items() if "additionalProperties" in node])
def test_the_keys_of_a_map_are_bounded_too(path: str) -> None:
    rules = [rule["rule"] for rule in SPEC[path].get("x-kubernetes-validations", ())]

    assert any("size(k) <= 317" in rule for rule in rules)


@pytest.mark.parametrize("path", [path for path in SPEC if re.search(r"\.(labels|annotations)$", path)])
def test_no_metadata_that_users_give_to_our_objects_makes_them_somebody_elses(path: str) -> None:
    (rule,) = [rule["rule"] for rule in SPEC[path]["x-kubernetes-validations"] if "startsWith" in rule["rule"]]

    assert [prefix for prefix in names.RESERVED_PREFIXES if f"k.startsWith('{prefix}')" not in rule] == []


@pytest.mark.parametrize(
    "path", [path for path, node in SPEC.items() if node.get("type") == "string" and "enum" not in node]
)
def test_a_text_has_a_pattern_or_a_rule_but_few(path: str) -> None:
    free = {
        ".spec.daemon.toml": "it is parsed",
        ".spec.shared.service.annotations{}": "annotations are free",
        ".spec.shared.pod.annotations{}": "annotations are free",
    }

    assert ("pattern" in SPEC[path] or "x-kubernetes-validations" in SPEC[path]) is (path not in free)


@pytest.mark.parametrize("path", [path for path, node in ALL.items() if node.get("type") == "array"])
def test_a_list_says_how_managers_share_it(path: str) -> None:
    assert ALL[path].get("x-kubernetes-list-type") in {"map", "set", "atomic"}


WHOLE = [path for path, node in SPEC.items() if node.get("x-kubernetes-list-type") in {"set", "atomic"}]
"""Lists whose items somebody applies as they are."""


@pytest.mark.parametrize("path", WHOLE)
def test_the_api_server_adds_nothing_to_what_is_applied_as_a_whole(path: str) -> None:
    # Else another tool's apply of the same file is a conflict, and its diff never empty.
    assert [within for within, node in SPEC.items() if within.startswith(f"{path}[]") and "default" in node] == []


@pytest.mark.parametrize("path", [path for path, node in ALL.items() if "x-kubernetes-list-map-keys" in node])
def test_the_key_of_a_list_is_required_in_its_items(path: str) -> None:
    (key,) = ALL[path]["x-kubernetes-list-map-keys"]
    items = ALL[path]["items"]

    assert key in items["required"] or "default" in items["properties"][key]


@pytest.mark.parametrize(
    ("path", "default"),
    [
        (".spec.suspend", False),
        (".spec.isolation", "Rootless"),
        (".spec.imagePullPolicy", "IfNotPresent"),
        (".spec.cache.size", "20Gi"),
        (".spec.daemon.logLevel", "info"),
        (".spec.daemon.garbageCollection.keepSeconds", 5_184_000),
        (".spec.shared.replicas", 1),
        (".spec.shared.port", 1234),
        (".spec.shared.tls.mode", "SelfSigned"),
        (".spec.shared.drainTimeoutSeconds", 900),
        (".spec.injection.buildx", True),
        (".spec.injection.localCache.mountPath", "/mnt/buildkit-cache"),
        (".status", {"observedGeneration": -1}),
    ],
)
def test_defaults_stand_in_the_schema(path: str, default: Any) -> None:
    assert ALL[path]["default"] == default


@pytest.mark.parametrize(
    "path", [path for path, node in SPEC.items() if any("default" in c for c in node.get("properties", {}).values())]
)
def test_the_defaults_of_a_block_apply_when_it_is_left_out(path: str) -> None:
    wanted_or_not = {
        ".spec.shared",
        ".spec.shared.autoscaling",
        ".spec.shared.tls.issuerRef",
        ".spec.cache.persistentVolumeClaim",
        ".spec.injection",
        ".spec.injection.localCache",
    }
    optional = wanted_or_not | {path for path in SPEC if path.endswith(("[]", "KeyRef"))}

    assert path in optional or ALL[path].get("default") == {}


def test_a_spec_that_is_refused_sets_each_field_but_few_beside_from() -> None:
    fields = {
        path.removeprefix(".spec.")
        for path, node in SPEC.items()
        if "properties" not in node and "[]" not in path and "{}" not in path
    }

    assert {path for path in fields if not path.startswith(BESIDE_FROM)} == set(NOT_BESIDE_FROM)


@pytest.mark.parametrize("rule", [rule for node in ALL.values() for rule in node.get("x-kubernetes-validations", ())])
def test_a_rule_has_a_sentence_for_those_who_break_it(rule: dict[str, str]) -> None:
    assert len(rule["message"]) > 10


def test_nothing_in_the_schema_is_left_of_pydantics_dialect() -> None:
    foreign = {"$ref", "$defs", "anyOf", "allOf", "title", "const", "propertyNames", "examples"}

    assert [path for path, node in ALL.items() if foreign & node.keys()] == []


def test_the_mode_is_all_that_must_be_given() -> None:
    assert SCHEMA["required"] == ["spec"]
    assert ALL[".spec"]["required"] == ["mode"]


def test_it_can_be_scaled_and_has_a_status_of_its_own() -> None:
    assert VERSION["subresources"]["scale"]["specReplicasPath"] == ".spec.shared.replicas"
    for path in VERSION["subresources"]["scale"].values():
        assert path in ALL
    assert VERSION["subresources"]["status"] == {}


def test_columns_show_the_state_without_asking_for_more() -> None:
    columns = [(column["name"], column["priority"]) for column in VERSION["additionalPrinterColumns"]]

    assert columns == [
        ("Mode", 0),
        ("Ready", 0),
        ("Reason", 0),
        ("Endpoint", 0),
        ("Age", 0),
        ("Image", 1),
        ("Replicas", 1),
        ("Pods", 1),
        ("Message", 1),
    ]
