"""What a Sidecar builder says: from how a probe fared and how runner pods are doing."""

from typing import Any

from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.desired.isolation import Confinement
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status import (
    ProbeResult,
    SidecarObserved,
    Status,
    Verdict,
    differs_in_counts_only,
    judge,
    status_for,
    status_for_unreadable,
)
from buildkit_operator.status.diagnosis.daemons import Finding
from tests.unit.make import NOW, injection_of, make_builder
from tests.unit.status.diagnosis.test_runner_pods import NO_IMAGE, READY, runner

SERVED = ProbeResult(served=True)
BUILDER = make_builder(mode="Sidecar")
INJECTION = injection_of(BUILDER)
SENTENCE = "Pods of this namespace with the label buildkit-operator.dev/builder=demo get a daemon of their own."


def verdict(*pods: Manifest, probe: ProbeResult | None = SERVED, **more: Any) -> Verdict:
    return judge(BUILDER, SidecarObserved(injection=INJECTION, probe=probe, runners=pods, **more))


def status(previous: Status | None = None, **observed: Any) -> Status:
    return status_for(BUILDER, SidecarObserved(**observed), previous or {}, NOW)


def test_it_is_on_its_way_until_a_probe_was_made() -> None:
    found = verdict(probe=None)

    assert (found.ready, found.reason, found.stalled) == (False, Reason.PROGRESSING, False)
    assert found.reconciling


def test_it_is_ready_when_a_pod_would_get_the_sidecar() -> None:
    assert verdict() == Verdict(ready=True, reason=Reason.AVAILABLE, message=SENTENCE)


def test_an_engine_that_is_missing_may_come() -> None:
    found = verdict(probe=ProbeResult(served=False, finding=Finding(Reason.INJECTION_NOT_SERVED, "No engine.")))

    assert (found.ready, found.reason, found.stalled, found.reconciling) == (
        False,
        Reason.INJECTION_NOT_SERVED,
        False,
        "No engine.",
    )


def test_pod_security_does_not_change_by_itself() -> None:
    found = verdict(probe=ProbeResult(served=False, finding=Finding(Reason.POD_SECURITY_DENIED, "Refused.")))

    assert (found.ready, found.stalled, found.reconciling) == (False, True, None)


def test_what_cannot_be_told_is_said_beside() -> None:
    found = verdict(probe=ProbeResult(served=True, finding=Finding(Reason.PODS_REFUSED, "A quota.")))

    assert (found.ready, found.message) == (True, f"{SENTENCE} A quota.")


def test_daemons_that_all_fail_make_it_unready_and_one_among_others_does_not() -> None:
    alone = verdict(runner(phase="Pending", **NO_IMAGE))
    among = verdict(runner(phase="Pending", **NO_IMAGE), runner(**READY))

    assert (alone.ready, alone.reason) == (False, Reason.IMAGE_PULL_FAILED)
    assert among.ready
    assert "cannot get its image" in among.message


def test_a_sandbox_that_could_not_be_had_is_told() -> None:
    without = Confinement(user_namespace=True)

    assert "Build steps can see the daemon's processes" in verdict(confinement=without).message
    sandboxed = Confinement(user_namespace=True, process_sandbox=True)
    assert verdict(confinement=sandboxed).message == SENTENCE


def test_the_facts_are_what_pods_get_and_how_many_have_it() -> None:
    found = status(injection=INJECTION, probe=SERVED, runners=[runner(**READY)])

    assert found["injection"] == INJECTION
    assert found["endpoint"] == "unix:///run/buildkit/buildkitd.sock"
    assert found["image"] == INJECTION["initContainers"][0]["image"]
    assert found["pods"] == {"injected": 1, "ready": 1, "failed": 0}


def test_what_pods_get_stays_while_it_cannot_be_rendered() -> None:
    before = status(injection=INJECTION, probe=SERVED)
    problem = TerminalError(Reason.INVALID_TOML, "Bad.")

    assert status(before, blocked=problem)["injection"] == INJECTION
    assert status_for_unreadable(2, problem, before, NOW)["injection"] == INJECTION
    assert "injection" not in status(blocked=problem)


def test_numbers_alone_are_told_from_news() -> None:
    before = status(injection=INJECTION, probe=SERVED)
    more = status(before, injection=INJECTION, probe=SERVED, runners=[runner(**READY)])
    failing = status(before, injection=INJECTION, probe=SERVED, runners=[runner(phase="Pending", **NO_IMAGE)])

    assert differs_in_counts_only(more, before)
    assert not differs_in_counts_only(before, before)
    assert not differs_in_counts_only(failing, before)
    assert not differs_in_counts_only(before, {})
