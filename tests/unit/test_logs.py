"""Log lines for machines and for people."""

import json
import logging
from collections.abc import Iterator

import pytest

from buildkit_operator import logs


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("buildkit_operator").setLevel(logging.NOTSET)


def test_json_lines_hold_all_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "json")

    logging.getLogger("buildkit_operator.test").warning("%d failed", 2, extra={"builder": "ci/main"})

    line = json.loads(capsys.readouterr().err)
    assert line.pop("time")
    assert line == {
        "level": "WARNING",
        "logger": "buildkit_operator.test",
        "message": "2 failed",
        "builder": "ci/main",
    }


def test_text_lines_end_with_the_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "text")

    logging.getLogger("buildkit_operator.test").info("done", extra={"builder": "ci/main"})

    assert capsys.readouterr().err.endswith(" INFO    done builder=ci/main\n")


def test_a_traceback_follows_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info", "text")

    logging.getLogger("buildkit_operator.test").error("broken", exc_info=ValueError("why"), extra={"builder": "a/b"})

    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("broken builder=a/b")
    assert lines[-1] == "ValueError: why"


@pytest.mark.parametrize(("level", "expected"), [("debug", "debugging\n"), ("info", "")])
def test_the_level_is_ours_alone(level: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level, "text")

    logging.getLogger("buildkit_operator.test").debug("debugging")
    logging.getLogger("library.objects").info("Handler succeeded.")

    assert capsys.readouterr().err.endswith(expected)
    assert "Handler" not in capsys.readouterr().err
