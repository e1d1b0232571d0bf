"""The page of each reason: what it says of how the reason shows is what the code says, and is written by the tests."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, Final

from buildkit_operator.api.reasons import Reason, row

Condition = Mapping[str, Any]

FOLDER: Final = Path(__file__).parents[2] / "docs" / "reasons"
WIDTH: Final = 118

FROM_CLUSTER: Final = frozenset(
    {
        Reason.SECRET_NOT_FOUND,
        Reason.CONFIG_MAP_NOT_FOUND,
        Reason.CLAIM_NOT_FOUND,
        Reason.CERT_MANAGER_NOT_FOUND,
        Reason.REJECTED,
    }
)
"""Reasons whose examples come of a real API server's answer (tests/integration/kubectl); others' of pure functions."""

_SHOWS: Final = re.compile(r"(?<=^## How it shows\n\n).*?(?=\n\n(?!```))", re.DOTALL | re.MULTILINE)


def page(reason: Reason) -> Path:
    """Return the file of a reason's page."""
    return FOLDER / f"{reason}.md"


def shown(reason: Reason, conditions: Sequence[Condition]) -> str:
    """Return what a page has under "How it shows": conditions, the type of the event, and the message."""
    held = [f"`{condition['type']}` {condition['status']}" for condition in conditions if "type" in condition]
    message = fill(conditions[0]["message"], WIDTH, break_long_words=False, break_on_hyphens=False)
    return f"{', '.join([*held, *_event(reason)])}:\n\n```text\n{message}\n```"


def _event(reason: Reason) -> list[str]:
    """Return which event there is: one for every change of Ready's reason, none for other conditions."""
    if reason is Reason.TLS_DISABLED:
        return []
    return [f"event {row(reason).event_type}"]


def compare(reason: Reason, wanted: str, *, update: bool) -> None:
    """Assert that a page says this under "How it shows", or have it say so."""
    file = page(reason)
    text = file.read_text()
    if update:
        file.write_text(text := _SHOWS.sub(lambda _: wanted, text, count=1))
    found = _SHOWS.search(text)
    assert found is not None, f"{file.name} has no section 'How it shows'"
    assert found[0] == wanted, "run pytest with --update-golden, and read whether the page still fits"
