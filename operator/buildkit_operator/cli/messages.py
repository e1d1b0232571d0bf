"""Standard error and the exit status: what a command has to say beside its output."""

from __future__ import annotations

import sys
from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses of the commands."""

    GOOD = 0
    WRONG = 1
    """Something is wrong with what was looked at."""
    BAD_INPUT = 2
    """It could not be looked at; argparse ends with the same for arguments that it does not understand."""


class Messages:
    """Writes sentences to standard error, each with where it belongs."""

    def __init__(self) -> None:
        """Begin with nothing wrong."""
        self.exit = Exit.GOOD

    def note(self, place: str, sentence: str) -> None:
        """Say what one should know."""
        sys.stderr.write(f"{place}: {sentence}\n")

    def wrong(self, place: str, sentence: str) -> None:
        """Say what is wrong."""
        self.note(place, sentence)
        self.exit = Exit.WRONG
