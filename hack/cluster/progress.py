"""Progress reports: a live line with its clock on a terminal, plain lines elsewhere."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

_started = time.monotonic()
_lock = threading.Lock()
_live: Progress | None = None


def say(sentence: str) -> None:
    """Print one line with the seconds since this program started, above what is live on the terminal."""
    line = f"[{time.monotonic() - _started:6.1f}s] {sentence}"
    with _lock:
        if _live is not None:
            _live.console.print(line, highlight=False, markup=False)
        else:
            print(line, file=sys.stderr, flush=True)


@contextmanager
def step(doing: str, done: str | None = None) -> Iterator[None]:
    """Show that something is being done until the block ends. Steps may nest, and run in several threads.

    On a terminal the step is a line with its own clock, replaced by a line that stays when it has ended. Elsewhere
    both its begin and its end are lines.
    """
    begun = time.monotonic()
    live = _is_terminal()
    if live:
        task = _show(doing)
    else:
        say(doing)
    try:
        yield
    except BaseException:
        outcome = f"{doing}: failed after {_duration(time.monotonic() - begun)}"
        raise
    else:
        outcome = f"{done or doing + ': done'} in {_duration(time.monotonic() - begun)}"
    finally:
        if live:
            _hide(task)
        say(outcome)


def _is_terminal() -> bool:
    return sys.stderr.isatty()


def _show(doing: str) -> TaskID:
    global _live  # noqa: PLW0603 - a terminal has one live area, whoever shares it
    with _lock:
        if _live is None:
            _live = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            _live.start()
        return _live.add_task(doing, total=None)


def _hide(task: TaskID) -> None:
    global _live  # noqa: PLW0603 - as above
    with _lock:
        if _live is None:
            return
        _live.remove_task(task)
        if not _live.tasks:
            _live.stop()
            _live = None


def _duration(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}m{rest:02.0f}s" if minutes else f"{rest:.1f}s"
