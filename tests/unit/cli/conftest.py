"""The command line, run in a folder of its own."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildkit_operator.cli.schema import cel_rules
from tests.unit.cli.run import Printed, Run, Stdin, run_main


@pytest.fixture(scope="session", autouse=True)
def rules_asked_once() -> Iterator[None]:
    """Evaluate each rule of the CRD once for each value: CEL is slow in Python, and most tests' builders are alike."""
    evaluate = cel_rules._holds
    answers: dict[tuple[str, str], bool] = {}

    def holds(rule: str, value: Any) -> bool:
        question = (rule, json.dumps(value, sort_keys=True))
        if question not in answers:
            answers[question] = evaluate(rule, value)
        return answers[question]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cel_rules, "_holds", holds)
        yield


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, stdin: str | None = None, **files: str) -> Printed:
        for name, text in files.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        if stdin is not None:
            monkeypatch.setattr("sys.stdin", Stdin(stdin))
        capsys.readouterr()
        code = run_main(arguments)
        printed = capsys.readouterr()
        return Printed(code, printed.out, printed.err)

    return run
