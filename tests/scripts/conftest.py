"""What the tests of shell scripts share: no API server and no container runtime."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scripts.container import Container


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    made = Container(tmp_path)
    yield made
    made.end()
