"""The command line, run in a folder of its own."""

from pathlib import Path

import pytest

from tests.unit.cli.run import Printed, Run, Stdin, run_main


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
