"""Options of the test run as a whole."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import pytest
from hypothesis import settings

# What it asserts says what differs, as in a test.
pytest.register_assert_rewrite("tests.support.transcript")

# Programs in Go that tests start, such as API servers and kubectl, take a sixth less processor time with it, for up to
# 300 MiB more memory each.
os.environ.setdefault("GOGC", "400")

# A slow machine is no failure.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden files anew instead of comparing")


@pytest.fixture(scope="session")
def progress_shown(request: pytest.FixtureRequest) -> Callable[[], AbstractContextManager[None]]:
    """Return a context in which what is printed is seen at once: the first build of a cluster takes minutes."""
    return lambda: uncaptured(request.config)


def uncaptured(config: pytest.Config) -> AbstractContextManager[None]:
    """Return a context in which pytest does not hold back what is printed."""
    capture = config.pluginmanager.getplugin("capturemanager")
    return capture.global_and_fixture_disabled() if capture else nullcontext()
