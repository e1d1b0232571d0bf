"""The recording of the demo: `make demo`, run in a terminal, what it prints with its times, and a picture of that.

docs/demo.cast is the recording as it was (asciicast 2), docs/demo.svg the picture, in which nobody waits for long.
"""

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

TOP: Final = Path(__file__).parents[2]
CAST: Final = TOP / "docs" / "demo.cast"
PICTURE: Final = TOP / "docs" / "demo.svg"
COLUMNS: Final = 120
ROWS: Final = 30
SECONDS_SHOWN: Final = 1.0
"""The longest that the picture waits for the next line."""

Event = tuple[float, str]
"""Seconds since the beginning, and what was printed then."""


def main() -> int:
    """Record the demo and draw the recording; the status is that of the demo."""
    printed, status = record(["make", "--no-print-directory", "demo"])
    if status == 0:
        CAST.write_text(cast([(0.0, "$ make demo\r\n"), *without_places(printed)]))
        draw(CAST, PICTURE)
        print(f"{CAST.relative_to(TOP)} and {PICTURE.relative_to(TOP)} are new.")
    return status


def record(command: Sequence[str]) -> tuple[list[Event], int]:
    """Return what a command prints in a terminal, and its status; what it prints is shown meanwhile."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    # In a terminal that cannot move its cursor, what would be a spinner is the line that stays.
    environment = {**os.environ, "TERM": "dumb", "COLUMNS": str(COLUMNS)}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, cwd=TOP, env=environment
    )
    os.close(theirs)
    begun = time.monotonic()
    events = []
    for chunk in _chunks(ours):
        events.append((time.monotonic() - begun, chunk))
        sys.stdout.write(chunk)
        sys.stdout.flush()
    return events, process.wait()


def _chunks(terminal: int) -> Iterator[str]:
    """Give what arrives, line by line, until the program at the other end is gone."""
    with os.fdopen(terminal, newline="", errors="replace") as stream:
        try:
            while line := stream.readline():
                yield line
        except OSError:  # Linux' way to say that nobody has the other end any more
            return


def without_places(events: Iterable[Event]) -> list[Event]:
    """Return the recording with the folders of whose machine it was made on as anybody's."""
    return [(at, text.replace(str(TOP), "~/buildkit-operator").replace(str(Path.home()), "~")) for at, text in events]


def cast(events: Iterable[Event]) -> str:
    """Return an asciicast of version 2."""
    lines: list[object] = [{"version": 2, "width": COLUMNS, "height": ROWS, "title": "make demo"}]
    lines += [[round(at, 3), "o", text] for at, text in events]
    return "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)


def draw(recording: Path, picture: Path) -> None:
    """Make an animated SVG of an asciicast."""
    longest = f"--max-frame-duration={int(SECONDS_SHOWN * 1000)}"
    # At the end there is time to read the figures.
    flags = ["--min-frame-duration=100", longest, "--loop-delay=8000", "--template=window_frame"]
    subprocess.run(
        [sys.executable, "-m", "termtosvg", "render", recording, picture, *flags], check=True, stdout=sys.stderr
    )


if __name__ == "__main__":
    sys.exit(main())
