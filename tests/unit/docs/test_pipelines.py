"""The table *in your workflow* of docs/migrate is the one whose lines are tried."""

import pytest

from tests.support.pipelines import LINES, PAGE, table
from tests.unit.docs.tables import assert_fresh


def test_its_table_is_what_is_tried(request: pytest.FixtureRequest) -> None:
    assert_fresh(PAGE, {"workflow": table()}, request)


def test_a_line_is_named_once_and_tried() -> None:
    assert len({line.name for line in LINES}) == len({line.workflow for line in LINES}) == len(LINES)
    assert all(line.as_it_is or line.changed for line in LINES)


def test_a_line_that_fails_says_what_to_do_or_that_there_is_nothing() -> None:
    alone = {line.name for line in LINES if line.fails_with and not line.changed}

    assert alone == {"services", "container-actions", "wait", "insecure", "system-prune", "prune"}
