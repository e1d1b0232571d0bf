"""The generated reference: fresh, whole, and with links that lead somewhere."""

import re

import pytest

from buildkit_operator import settings
from buildkit_operator.api import names
from hack.generate.paths import REFERENCE
from hack.generate.reference import PROCESSES, render
from tests.unit.api.test_crd import ALL, FIELDS

PAGE = render()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| `")]


def section(heading: str) -> str:
    """Return a section without those beneath it."""
    return PAGE.partition(f"\n### {heading}\n")[2].partition("\n#")[0]


def test_the_file_is_what_the_code_gives() -> None:
    assert REFERENCE.read_text() == PAGE, "run `make generate`"


@pytest.mark.parametrize("path", FIELDS)
def test_a_field_stands_in_the_section_of_its_object(path: str) -> None:
    parent, _, name = path.removeprefix(".").rpartition(".")
    if not parent:
        assert section(name)
        return
    (row,) = (line for line in section(parent).splitlines() if line.startswith(f"| `{name}`"))
    described = ALL[path]["description"].replace("|", "\\|")
    assert row.endswith(f"| {described} |")
    if isinstance(default := ALL[path].get("default"), str | int):
        assert str(default).lower() in row.lower()


@pytest.mark.parametrize("rule", [rule for node in ALL.values() for rule in node.get("x-kubernetes-validations", ())])
def test_a_rule_stands_there_with_its_sentence(rule: dict[str, str]) -> None:
    assert f"{rule['message']}\n  `{rule['rule']}`" in PAGE


def test_links_within_the_page_lead_to_headings() -> None:
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()) for heading in re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)}

    assert set(re.findall(r"\(#([^)]*)\)", PAGE)) <= anchors


def test_headings_are_unlike_each_other() -> None:
    headings = [re.sub(r"[^a-z0-9]", "", line.lower()) for line in PAGE.splitlines() if line.startswith("#")]

    assert len(headings) == len(set(headings))


def test_every_label_and_annotation_is_there() -> None:
    keys = {value for name, value in vars(names).items() if name.isupper() and str(value).startswith(f"{names.GROUP}/")}
    keys -= {names.API_VERSION, names.CONTROLLER}

    assert {f"| `{key}` |" for key in keys} <= {row[: row.index("|", 2) + 1] for row in ROWS}


def test_every_setting_is_there_once() -> None:
    variables = {settings.PREFIX + field.upper() for _, kind in PROCESSES for field in kind.model_fields}

    assert sorted(re.findall(rf"^\| `({settings.PREFIX}\w+)`", PAGE, re.MULTILINE)) == sorted(variables)
