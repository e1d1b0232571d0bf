"""What is described to buildx: the registries, as imagetools reads them of a builder of its own."""

import base64
import json
import tomllib
from typing import Any

from buildkit_operator.desired import buildkitd_toml
from buildkit_operator.desired.buildx import registries
from buildkit_operator.desired.connector import Upstream, config_map
from buildkit_operator.desired.platform import Platform
from tests.unit.make import make_builder

HTTP = [{"host": "registry.example.com:5000", "plainHTTP": True}]


def told(data: dict[str, str]) -> Any:
    (node,) = json.loads(data["registries.json"])["Nodes"]
    return tomllib.loads(base64.b64decode(node["Files"]["buildkitd.toml"]).decode())


def test_a_registry_without_tls_is_told_as_the_daemon_knows_it() -> None:
    toml = '[registry."registry.example.com:5000"]\nmirrors = ["mirror.example.com"]\n[registry."other"]\nhttp = true\n'
    builder = make_builder(daemon={"registries": HTTP, "toml": toml})

    rendered = tomllib.loads(buildkitd_toml.render(builder, process_sandbox=False, room="20Gi"))
    assert told(registries(buildkitd_toml.registry_tables(builder))) == {"registry": rendered["registry"]}


def test_without_registries_there_is_nothing_to_tell() -> None:
    assert registries({}) == {}
    assert "registries.json" not in config_map(make_builder(), Upstream.of(make_builder(), Platform()))["data"]


def test_a_consumer_tells_what_its_provider_knows() -> None:
    consumer = make_builder("mine", shared={"from": {"namespace": "ci", "name": "demo"}})
    provider = make_builder(daemon={"registries": HTTP})

    data = config_map(consumer, Upstream.of(provider, Platform()))["data"]

    assert told(data)["registry"]["registry.example.com:5000"] == {"http": True}


def test_a_provider_whose_raw_part_is_wrong_still_has_consumers() -> None:
    provider = make_builder(daemon={"registries": HTTP, "toml": "no toml"})

    assert Upstream.of(provider, Platform()).registries == {}
