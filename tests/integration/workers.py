"""How pytest-xdist spreads these tests: a file stays on one worker, and so does a folder with API servers of its own.

A worker that gets a test of such a folder would have to start the folder's servers again. These are package-scoped and
end with the folder's last test: an API server that nobody asks still costs processor time.
"""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

WITH_SERVERS_OF_ITS_OWN: Final = frozenset({"admission", "cli", "fuzz", "kubectl", "recipes"})

LONGEST: Final = (
    "builders/test_installations.py",
    "builders/test_cert_manager.py",
    "builders/test_crashes.py",
    "builders/test_faults.py",
    "builders/test_process.py",
    "builders/test_consumers.py",
    "builders/test_replicas.py",
    "builders/test_restart.py",
    "engine/test_leadership.py",
    "installation/test_namespaced.py",
    "builders/test_hostile.py",
    "webhook/test_process.py",
    "webhook/test_certificate.py",
    "hostile/test_deep_json.py",
    "builders/test_constraints.py",
    "builders/test_real_clients.py",
    "installation/test_flux.py",
    "builders/test_claims.py",
    "builders/test_sidecar.py",
    "engine/test_faults.py",
    "test_controlplane.py",
    "builders/test_orphans.py",
    "builders/test_missing_rights.py",
    "chart/test_releases.py",
    "test_run.py",
    "test_connector_waits.py",
)
"""Files of few tests that take half a minute to seven, the longest first (`pytest --durations`). They begin first, so
that nobody waits for them in the end.
"""


def scope(test: str) -> str:
    """Return the folder or file whose tests run on one worker, of a test's id."""
    file = PurePosixPath(test.split("::", 1)[0])
    return str(file.parent if file.parent.name in WITH_SERVERS_OF_ITS_OWN else file)


def arrange(tests: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return tests in the order in which workers take their folders and files: those that take longest first."""
    sizes = Counter(scope(test.nodeid) for test in tests)

    def place(test: pytest.Item) -> tuple[int, int, str]:
        name = scope(test.nodeid)
        rank = next((rank for rank, longest in enumerate(LONGEST) if name.endswith(longest)), len(LONGEST))
        return rank, -sizes[name], name

    # The sort is stable, so tests of a file stay in their order.
    return sorted(tests, key=place)


class FolderScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist says nothing of its types
    """Hands out folders and files in the order of `arrange`."""

    def schedule(self) -> None:
        """Hand out the tests that all workers have found, in their order."""
        self.config.option.loadscopereorder = False
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)


def number() -> int:
    """Return how many workers there should be: two more than processors, as tests wait a third of their time."""
    return (os.cpu_count() or 1) + 2
