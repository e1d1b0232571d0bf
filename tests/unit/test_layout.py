"""The source directory is called operator/, and must never pass for the standard library's module of that name."""

import operator
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_operator_is_the_standard_librarys() -> None:
    assert operator.itemgetter(1)("ab") == "b"
    assert operator.__file__ is not None
    assert not Path(operator.__file__).is_relative_to(REPOSITORY)


def test_it_is_so_for_a_program_started_at_the_top_of_the_checkout() -> None:
    program = "import operator; print(operator.__file__)"
    answer = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)

    assert not Path(answer.stdout.strip()).is_relative_to(REPOSITORY)


def test_the_source_directory_is_no_package() -> None:
    assert not (REPOSITORY / "operator" / "__init__.py").exists()
