"""The table *in your workflow* of docs/migrate, line by line: what pipelines pass because Docker-in-Docker took it.

One pod a mode tries all of it in a row, each line in a directory and a shell of its own.
"""

import re
import shlex
from typing import Final

import pytest

from hack.cluster import pins
from hack.cluster.installation import REGISTRY
from hack.cluster.kubectl import Kubectl
from tests.support.jobs import builder, wait_ready
from tests.support.pipelines import FILES, LINES, MODES, Line
from tests.support.runners import Runner, sidecar, step

pytestmark = pytest.mark.exclusive("its builds keep a small machine from what other tests wait for")

TRY: Final = """
set +ex
attempt() {
  (cp -R . "../$1" && cd "../$1" && sh -euc "$3") >/tmp/said 2>&1
  echo "$1 $2: status $?"
  sed "s/^/$1 $2: said /" /tmp/said
}
"""


@pytest.fixture(scope="module")
def said(team_for_module: Kubectl) -> dict[str, str]:
    """Return by the mode what a pod printed that tried all lines."""
    team_for_module.apply(sidecar("sidecar"), builder("shared"))
    for mode in MODES:
        wait_ready(team_for_module, mode, 120)
    jobs = {mode: Runner.start(team_for_module, job(mode), asks_for=mode, files=FILES) for mode in MODES}
    for found in jobs.values():
        found.succeed(600)
    return {mode: found.log() for mode, found in jobs.items()}


def job(mode: str) -> dict[str, object]:
    """Return the container that tries all lines."""
    tried = [
        f"attempt {line.name} {which} {shlex.quote(script)}"
        for line in LINES
        for which, script in (("as-it-is", line.as_it_is), ("changed", line.changed))
        if script
    ]
    return step("\n".join([f"export A={REGISTRY}/org/lines-{mode}", TRY, *tried]), image=pins.DOCKER_IMAGE)


def outcome(log: str, line: Line, which: str) -> tuple[int, str]:
    """Return the status of what was tried, and what it printed."""
    (status,) = re.findall(rf"^{line.name} {which}: status (\d+)$", log, re.MULTILINE)
    return int(status), "\n".join(re.findall(rf"^{line.name} {which}: said (.*)$", log, re.MULTILINE))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("line", LINES, ids=lambda line: line.name)
def test_a_line_of_the_table(said: dict[str, str], line: Line, mode: str) -> None:
    if line.as_it_is:
        status, words = outcome(said[mode], line, "as-it-is")
        fails = bool(line.fails_with) and mode in line.fails_in
        assert (status != 0) is fails, words
        assert not fails or line.fails_with in words
    if line.changed:
        status, words = outcome(said[mode], line, "changed")
        assert status == 0, words
