"""How the integration tests are spread over pytest's workers."""

import pytest

from tests.integration.workers import WITH_SERVERS_OF_ITS_OWN, scope


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
