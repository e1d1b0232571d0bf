"""Structured logging: one JSON object a line for collectors, or a line of text for people."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, Literal

from pythonjsonlogger.json import JsonFormatter

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record has; anything else was given with `extra`."""


class TextFormatter(logging.Formatter):
    """Time, level and message, then what was given with `extra` as key=value."""

    def __init__(self) -> None:
        """Leave the date out: terminals show what happens now."""
        super().__init__("%(asctime)s.%(msecs)03d %(levelname)-7s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the base class's name
        """Append the extra fields to the line."""
        extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        return super().formatMessage(record) + "".join(f" {key}={value}" for key, value in extra.items())


def configure(level: str, log_format: Literal["json", "text"]) -> None:
    """Log to standard error in one of the two formats. Libraries only speak up with warnings."""
    handler = logging.StreamHandler()
    handler.setFormatter(TextFormatter() if log_format == "text" else _json_formatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("buildkit_operator").setLevel(level.upper())


def _json_formatter() -> logging.Formatter:
    renamed: Mapping[str, Any] = {"asctime": "time", "levelname": "level", "name": "logger"}
    return JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s", rename_fields=dict(renamed))
