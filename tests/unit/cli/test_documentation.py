"""What docs/cli.md shows of `render` and `inject` is what they print."""

import re
from pathlib import Path
from typing import Final

import pytest

from tests.unit.cli.run import Run, builder, written

TOP: Final = Path(__file__).parents[3]
BLOCKS: Final = re.findall(
    r"^```\n\$ buildkit-operator ((?:render|inject) .*)\n((?:.*\n)*?)```$",
    (TOP / "docs" / "cli.md").read_text(),
    flags=re.MULTILINE,
)


@pytest.mark.parametrize(("command", "shown"), BLOCKS)
def test_an_example_is_true(command: str, shown: str, *, run: Run, tmp_path: Path) -> None:
    (tmp_path / "deploy").symlink_to(TOP / "deploy")
    output, _, code = shown.partition("$ echo $?\n")

    printed = run(*command.split(), builder=written(builder(cache={"size": "1000Mi"})))

    # Where lines are left out there is an ellipsis.
    parts = [re.escape(part) for part in output.split("…\n")]
    assert re.fullmatch("(?:.*\n)*?".join(parts), printed.err + printed.out)
    assert printed.code == int(code or 0)


def test_there_are_examples() -> None:
    assert {command.split()[0] for command, _ in BLOCKS} == {"render", "inject"}
    assert len(BLOCKS) == 4


def test_every_option_is_told() -> None:
    text = (TOP / "docs" / "cli.md").read_text().partition("## render")[2]
    source = (TOP / "operator/buildkit_operator/cli/file_options.py").read_text()

    options = set(re.findall(r'"(--[a-z-]+)"', source)) - {"--filename", "--output", "--namespace"}
    assert options
    assert [option for option in sorted(options) if option not in text] == []
