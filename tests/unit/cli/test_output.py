"""How answers are written."""

import json
from datetime import timedelta

import pytest
import yaml

from buildkit_operator.cli import output
from tests.unit.make import NOW


def test_columns_are_as_wide_as_they_need_be_and_the_last_one_is_left_as_it_is() -> None:
    text = output.table(("NAME", "MESSAGE"), [("a", "short"), ("longer", "a sentence"), ("b", "")])

    assert text == "NAME     MESSAGE\na        short\nlonger   a sentence\nb\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (10799, "179m"), (10800, "3h"), (172800, "2d"), (9e6, "104d")],
)
def test_an_age_is_written_as_kubectl_writes_it(seconds: float, text: str) -> None:
    assert output.age(NOW - timedelta(seconds=seconds), NOW) == text


def test_json_and_yaml_say_the_same_in_the_same_order() -> None:
    document = {"z": [1, None, True], "a": {"é": "ja: nein"}}

    as_json, as_yaml = output.render(document, "json"), output.render(document, "yaml")

    assert json.loads(as_json) == yaml.safe_load(as_yaml) == document
    assert as_yaml.startswith("z:")
    assert "é" in as_json
