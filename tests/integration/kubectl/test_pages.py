"""The commands that the pages of reasons give for a builder are ones that the API server takes."""

import re
import shlex
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from buildkit_operator.api.reasons import Reason
from buildkit_operator.pki.issuer import issue_authority
from hack.cluster.controlplane import program
from tests.integration.builders.builder_namespace import Builders
from tests.support.reason_pages import page

WRITES: Final = ("patch bkb", "scale bkb", "create secret")
READS: Final = ("explain bkb", "get bkb demo ")


def commands() -> list[tuple[Reason, str]]:
    """Return what can be tried on a builder, whatever its state, each command once for a page."""
    found = {
        (reason, re.sub(r"\s*\\\n\s*", " ", command))
        for reason in Reason
        for command in re.findall(r"^ *kubectl ((?:.*\\\n)*.*)$", page(reason).read_text(), re.MULTILINE)
    }
    return sorted((reason, command) for reason, command in found if command.startswith((*WRITES, *READS)))


@pytest.mark.parametrize(("reason", "command"), commands())
def test_a_command_of_a_page_works(team: Builders, tmp_path: Path, reason: Reason, command: str) -> None:
    team.create(shared={"replicas": 0})
    words = [team.namespace if word in {"ci", "shared"} else word for word in shlex.split(command, comments=True)]
    dry = ["--dry-run=server"] if command.startswith(WRITES) else []

    (tmp_path / "company-ca.pem").write_text("certificates")
    client = issue_authority("client", timedelta(days=1), datetime.now(UTC))
    (tmp_path / "client.pem").write_bytes(client.certificate)
    (tmp_path / "client-key.pem").write_bytes(client.key)

    answer = subprocess.run(
        [program("kubectl"), f"--kubeconfig={team.control_plane.kubeconfig}", *words, *dry],
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=False,
    )

    assert answer.returncode == 0, f"{reason}: {answer.stderr}"


def test_there_are_commands_to_try() -> None:
    assert len(commands()) > 20
