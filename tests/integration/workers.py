"""How pytest-xdist spreads these tests: a file stays on one worker, and so does a folder with API servers of its own.

A worker that gets a test of such a folder would have to start the folder's servers again. These are package-scoped and
end with the folder's last test: an API server that nobody asks still costs processor time.
"""

import os
from pathlib import PurePosixPath
from typing import Final

from xdist.scheduler import LoadScopeScheduling

WITH_SERVERS_OF_ITS_OWN: Final = frozenset({"admission", "cli", "kubectl", "recipes"})


def scope(test: str) -> str:
    """Return the folder or file whose tests run on one worker, of a test's id."""
    file = PurePosixPath(test.split("::", 1)[0])
    return str(file.parent if file.parent.name in WITH_SERVERS_OF_ITS_OWN else file)


class FolderScheduling(LoadScopeScheduling):  # type: ignore[misc]  # xdist says nothing of its types
    """Hands out folders and files, those with most tests first."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)


def number() -> int:
    """Return how many workers there should be: one more than processors, as every test waits now and then."""
    return (os.cpu_count() or 1) + 1
