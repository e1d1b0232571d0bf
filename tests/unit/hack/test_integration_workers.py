"""How the integration tests are spread over pytest's workers."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.integration.workers import LONGEST, WITH_SERVERS_OF_ITS_OWN, arrange, scope


@pytest.mark.parametrize(
    ("test", "expected"),
    [
        ("tests/integration/builders/test_shared.py::test_one[a::b]", "tests/integration/builders/test_shared.py"),
        ("tests/integration/test_crd.py::test_one", "tests/integration/test_crd.py"),
        ("tests/integration/cli/test_doctor.py::test_one", "tests/integration/cli"),
        ("tests/integration/cli/test_status.py::test_one", "tests/integration/cli"),
    ],
)
def test_a_folder_with_servers_of_its_own_stays_together(test: str, expected: str) -> None:
    assert scope(test) == expected


def test_those_folders_are_there(pytestconfig: pytest.Config) -> None:
    folder = pytestconfig.rootpath / "tests/integration"

    # Without it, package-scoped fixtures last as long as the session.
    assert all((folder / name / "__init__.py").exists() for name in WITH_SERVERS_OF_ITS_OWN)


def test_files_that_take_long_come_first_and_then_those_with_most_tests() -> None:
    small, large, long = "test_a.py::1", ["test_b.py::1", "test_b.py::2"], f"{LONGEST[0]}::1"
    folder = ["cli/test_c.py::1", "cli/test_d.py::1", "cli/test_d.py::2"]
    tests: list[Any] = [SimpleNamespace(nodeid=name) for name in [small, *large, *folder, long]]

    assert [test.nodeid for test in arrange(tests)] == [long, *folder, *large, small]


def test_those_files_are_there(pytestconfig: pytest.Config) -> None:
    folder = pytestconfig.rootpath / "tests/integration"

    assert all((folder / name).exists() for name in LONGEST)
