"""A daemon that was ended with builds in it, or silent, is told of; an idle one is not, however it was ended."""

import pytest

from buildkit_operator.api.reasons import Reason
from buildkit_operator.desired.scripts import BUSY, SCRIPTS, SILENT
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status.diagnosis import drain


def pod(left: str | None, *, stopping: bool = True, running: bool = False) -> Manifest:
    state: Manifest = {"running": {}} if running else {"terminated": {"exitCode": 137, "message": left}}
    metadata = {"name": "team-buildkitd-1"} | ({"deletionTimestamp": "2026-01-01T12:00:00Z"} if stopping else {})
    return {"metadata": metadata, "status": {"containerStatuses": [{"name": "buildkitd", "state": state}]}}


@pytest.mark.parametrize(("left", "words"), [(BUSY, "ran builds"), (SILENT, "did not answer")])
def test_a_daemon_that_was_ended_before_it_was_done(left: str, words: str) -> None:
    ended = pod(left)

    ((told, finding),) = drain.cut_short([ended, pod(left, stopping=False)])

    assert told is ended
    assert finding.reason is Reason.DRAIN_TIMED_OUT
    assert "team-buildkitd-1" in finding.message
    assert words in finding.message
    assert "spec.shared.drainTimeoutSeconds" in finding.message


@pytest.mark.parametrize(
    "seen", [pod(None), pod(""), pod("buildkitd: its last words"), pod(BUSY, running=True)], ids=str
)
def test_nothing_is_said_of_one_that_was_idle_or_of_which_nobody_knows(seen: Manifest) -> None:
    assert not list(drain.cut_short([seen]))


def test_the_script_leaves_these_words() -> None:
    assert f"leave '{BUSY}'" in SCRIPTS["drain.sh"]
    assert f"leave '{SILENT}'" in SCRIPTS["drain.sh"]
