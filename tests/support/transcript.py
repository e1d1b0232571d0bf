"""A page whose transcripts are run: its commands in order, as a reader would type them, against a real API server.

In the page, a ```yaml block that begins with `# NAME.yaml` is a file; the lines of a ```console block that begin with
`$ ` are commands, and the others what they print. `<!-- stage: NAME -->` is something that happens behind the scenes,
and `<!-- meanwhile: NAME -->` something that does while the next command watches, which it then ends.
"""

import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.support.likeness import likeness

SECONDS: Final = 120
"""Until a command that should take a few is given up."""

_BLOCK: Final = re.compile(
    r"```yaml\n# (?P<file>\S+\.yaml)\n(?P<content>.*?)```"
    r"|```console\n(?P<transcript>.*?)```"
    r"|<!-- (?P<when>stage|meanwhile): (?P<stage>[^>]*?) -->",
    re.DOTALL,
)

Stage = Callable[[], None]


class Terminal:
    """A shell in a folder of its own, with the stages that a page may call for."""

    def __init__(self, folder: Path, environment: Mapping[str, str], stages: Mapping[str, Stage]) -> None:
        self._folder = folder
        self._environment = dict(environment)
        self._stages = stages
        self._meanwhile: Stage | None = None

    def play(self, page: str) -> str:
        """Return the page with what its commands print now."""
        return _BLOCK.sub(self._block, page)

    def check(self, page: Path, *, update: bool) -> None:
        """Assert that a page shows what its commands print, or have it do so."""
        shown = page.read_text()
        played = self.play(shown)
        if update:
            page.write_text(played)
        else:
            assert played == shown

    def _block(self, block: re.Match[str]) -> str:
        if block["file"]:
            (self._folder / block["file"]).write_text(block["content"])
        elif block["when"] == "stage":
            self._stages[block["stage"]]()
        elif block["when"] == "meanwhile":
            self._meanwhile = self._stages[block["stage"]]
        else:
            return "".join(["```console\n", *self._transcript(block["transcript"]), "```"])
        return block[0]

    def _transcript(self, lines: str) -> Iterator[str]:
        for command in re.findall(r"^\$ (?:.*\\\n)*.*\n", lines, re.MULTILINE):
            watches = self._meanwhile is not None
            yield command
            yield likeness(self._run(command.removeprefix("$ "))) + ("^C\n" if watches else "")

    def _run(self, command: str) -> str:
        meanwhile, self._meanwhile = self._meanwhile, None
        with subprocess.Popen(
            ["bash", "-c", f"exec {command}" if meanwhile else command],
            cwd=self._folder,
            env=self._environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as shell:
            limit = threading.Timer(SECONDS, shell.kill)
            limit.start()
            try:
                return self._watched(shell, meanwhile) if meanwhile else shell.communicate()[0]
            finally:
                limit.cancel()

    @staticmethod
    def _watched(shell: "subprocess.Popen[str]", meanwhile: Stage) -> str:
        """Return what a command printed that watches, ended as one does at a terminal."""
        assert shell.stdout is not None
        first = shell.stdout.readline() + shell.stdout.readline()
        meanwhile()
        shell.send_signal(signal.SIGINT)
        return first + shell.communicate()[0]
