"""Test scheduling: tests that leave the operator alone run side by side, those marked exclusive after them, in turn."""

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

EXCLUSIVE: Final = "exclusive"
LONGEST: Final = (
    "test_cluster_down.py",
    "test_connector.py",
    "test_tenants.py",
    "test_sidecar_survives_ends.py",
    "test_claims.py",
    "test_rolls.py",
    "test_sidecar_survives.py",
    "test_quickstart.py",
    "test_autoscaling.py",
    "test_bound.py",
)
"""Files with a test, or tests that share something, of the better part of a minute or more (`pytest --durations`). They
begin first, so that nobody waits for them in the end.
"""


GROUPS: Final = "BUILDKIT_OPERATOR_E2E_GROUPS"
"""Where workers write which test is of which group: the process that hands out the tests knows only their ids."""


class ExclusiveLast(LoadScopeScheduling):  # type: ignore[misc]
    """xdist's distribution of groups of tests, of which the exclusive one is run when no other worker is left.

    The other workers have ended by then, so they have also cleared up what their tests shared.
    """

    def schedule(self) -> None:
        """Hand out the tests that all workers have found."""
        self._groups: dict[str, str] = json.loads(Path(os.environ[GROUPS]).read_text())
        super().schedule()

    def _split_scope(self, nodeid: str) -> str:
        return self._groups.get(nodeid, nodeid)

    def _reschedule(self, node: WorkerController) -> None:
        """Give a worker more tests, or end it where there are none for it."""
        if EXCLUSIVE in self.workqueue:
            # What a crashed worker has not run is put behind it.
            self.workqueue.move_to_end(EXCLUSIVE)
        if list(self.workqueue) == [EXCLUSIVE] and len(self.nodes) > 1:
            if node is not self.nodes[0]:
                node.shutdown()
            return
        super()._reschedule(node)

    def remove_node(self, node: WorkerController) -> str | None:
        """Forget a worker that has ended; the last one goes on with the exclusive tests."""
        crashed: str | None = super().remove_node(node)
        if len(self.nodes) == 1:
            self._reschedule(self.nodes[0])
        return crashed


def group(item: pytest.Item) -> str | None:
    """Return the name of the tests that share a worker with this one: exclusive ones, or those of its module."""
    if (mark := item.get_closest_marker(EXCLUSIVE)) is not None:
        (_reason,) = mark.args
        return EXCLUSIVE
    return item.path.name if _shares(item) else None


def _shares(item: pytest.Item) -> bool:
    """Tell whether a test uses a fixture that its module makes once."""
    assert isinstance(item, pytest.Function)
    found = item._fixtureinfo.name2fixturedefs.values()
    return any(definitions[-1].scope == "module" for definitions in found)


def arrange(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Return the tests in the order in which workers take their groups: large ones first, exclusive ones last."""
    names = {item: group(item) for item in items}
    sizes = Counter(names.values())

    def place(item: pytest.Item) -> tuple[bool, int, int, str]:
        name, file = names[item], item.path.name
        rank = LONGEST.index(file) if file in LONGEST else len(LONGEST)
        return name == EXCLUSIVE, rank, -sizes[name] if name else 0, file

    # The sort is stable, so a group's tests stay in order.
    return sorted(items, key=place)


def write_groups(items: Sequence[pytest.Item]) -> None:
    """Write the tests' groups to where the scheduler reads them. Every worker does, and all write the same."""
    groups = {item.nodeid: name for item in items if (name := group(item)) is not None}
    file = Path(os.environ[GROUPS])
    new = file.with_name(f"{file.name}.{os.getpid()}")
    new.write_text(json.dumps(groups))
    new.rename(file)


def is_in(folder: Path, item: pytest.Item) -> bool:
    return folder in item.path.parents
