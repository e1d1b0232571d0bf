"""What the documentation shows of kubectl is what it prints: the page is run, command by command."""

from pathlib import Path
from typing import Final

import pytest

from tests.support.transcript import Terminal

PAGE: Final = Path(__file__).parents[3] / "docs" / "kubectl.md"


def test_the_page_shows_what_kubectl_prints(terminal: Terminal, request: pytest.FixtureRequest) -> None:
    """`pytest tests/integration/kubectl --update-golden` writes what it prints into the page."""
    terminal.check(PAGE, update=request.config.getoption("--update-golden"))
