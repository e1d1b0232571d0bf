"""Conditions and events: the types of conditions that a builder has, and how messages of both are written. No I/O."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from buildkit_operator.api import names
from buildkit_operator.api.reasons import Reason, row


class ConditionType(StrEnum):
    """Types of conditions, as kstatus reads them (cli-utils, pkg/kstatus/README.md)."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    INSECURE = "Insecure"
    """No type of kstatus, which passes it over: nothing is broken, but somebody decided to go without protection."""


_SEE: Final = f" See {names.DOCUMENTATION}/"


def explained(reason: Reason, message: str) -> str:
    """Return a message with the page of its reason, where the reason is a cause for a warning."""
    if row(reason).event_type == "Normal":
        return message
    return f"{message} See {names.reason_page(reason)}."


def fitted(message: str, limit: int) -> str:
    """Return a message of at most `limit` bytes in UTF-8: what is too much is cut, but not the page at its end."""
    if len(message.encode()) <= limit:
        return message
    told, see, page = message.rpartition(_SEE)
    end = f"…{see}{page}" if see else "…"
    text = told if see else message
    return text.encode()[: limit - len(end.encode())].decode(errors="ignore") + end
