"""The real helm, built before the first test that needs it."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from hack.cluster import artifacts
from tests.support.helm import Helm


@pytest.fixture(scope="session")
def helm(progress_shown: Callable[[], AbstractContextManager[None]]) -> Helm:
    """Return a helm that knows no cluster."""
    with progress_shown():
        return Helm(artifacts.ensure("helm")["helm"] / "helm")
