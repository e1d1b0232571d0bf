"""What a builder says of itself: one verdict at a time, in the words of conditions."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.desired.autoscaling import Scaling
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.pki.issuer import issue_authority, issue_leaf
from buildkit_operator.pki.keypairs import Usage
from buildkit_operator.status import (
    DaemonsObserved,
    Observed,
    Pending,
    SidecarObserved,
    Status,
    judge,
    status_for,
    status_for_unreadable,
)
from tests.unit.make import FAKE_CERTIFICATES, NOW, container_status, make_builder, make_deployment, make_pod

STAMP = "2026-11-24T12:00:00Z"
LATER = NOW + timedelta(hours=1)
PULL_FAILS = make_pod(containerStatuses=container_status(state={"waiting": {"reason": "ErrImagePull"}}))
NO_USER_NAMESPACE = make_pod(
    containerStatuses=container_status(
        state={"terminated": {"exitCode": 1, "message": "newuidmap: Operation not permitted"}}
    )
)


def status_of(observed: Observed, previous: Status | None = None, **spec: Any) -> Status:
    return status_for(make_builder(**spec), observed, previous or {}, NOW)


def condition(status: Status, kind: str) -> Manifest:
    return next(found for found in status["conditions"] if found["type"] == kind)


def page(reason: str) -> str:
    return f" See https://docs.unreleased.invalid/reasons/{reason}/."


def types(status: Status) -> list[str]:
    return [found["type"] for found in status["conditions"]]


# The verdict, worst first


def test_a_new_builder_is_being_made() -> None:
    verdict = judge(make_builder(), DaemonsObserved())

    assert (verdict.ready, verdict.reason, verdict.stalled) == (False, Reason.PROGRESSING, False)
    assert verdict.reconciling == "The daemon's objects are being made."


def test_what_is_in_the_way_and_will_go_is_waited_for() -> None:
    verdict = judge(
        make_builder(), DaemonsObserved(blocked=Pending(Reason.PROGRESSING, "Secret x belongs to a deleted builder."))
    )

    assert (verdict.ready, verdict.reason, verdict.stalled) == (False, Reason.PROGRESSING, False)
    assert verdict.reconciling == "Secret x belongs to a deleted builder."


def test_a_daemon_that_starts_is_waited_for() -> None:
    verdict = judge(make_builder(), DaemonsObserved([make_deployment(total=1, ready=0)]))

    assert (verdict.ready, verdict.reason) == (False, Reason.PROGRESSING)
    assert verdict.reconciling == "0 of 1 daemon ready. Waiting for the daemon to answer."


def test_a_builder_is_ready_when_all_its_daemons_are() -> None:
    verdict = judge(make_builder(shared={"replicas": 2}), DaemonsObserved([make_deployment(total=2, ready=2)]))

    assert (verdict.ready, verdict.reason, verdict.message) == (True, Reason.AVAILABLE, "2 of 2 daemons ready.")
    assert verdict.reconciling is None


def test_a_deployment_whose_change_nobody_has_seen_is_not_settled() -> None:
    verdict = judge(make_builder(), DaemonsObserved([make_deployment(total=1, ready=1, observedGeneration=2)]))

    assert verdict.ready
    assert verdict.reconciling is not None


def test_a_roll_goes_on_while_the_old_daemon_serves() -> None:
    verdict = judge(make_builder(), DaemonsObserved([make_deployment(total=2, updated=1, ready=1)]))

    assert (verdict.ready, verdict.reason) == (True, Reason.AVAILABLE)
    assert verdict.reconciling == "1 of 1 daemon ready. 1 up to date."


def test_the_daemon_that_is_replaced_is_not_counted_beyond_what_is_wanted() -> None:
    verdict = judge(make_builder(), DaemonsObserved([make_deployment(total=2, updated=1, ready=2)]))

    assert verdict.message.startswith("1 of 1 daemon ready.")


def test_a_roll_that_is_stuck_says_why_while_the_old_daemon_serves() -> None:
    verdict = judge(make_builder(), DaemonsObserved([make_deployment(total=2, updated=1, ready=1)], [PULL_FAILS]))

    assert verdict.ready
    assert verdict.reconciling is not None
    assert "cannot get its image" in verdict.reconciling


def test_a_roll_that_waits_for_somebody_is_stalled_while_the_old_daemon_serves() -> None:
    daemons = make_deployment(total=2, updated=1, ready=1)
    verdict = judge(make_builder(), DaemonsObserved([daemons], [NO_USER_NAMESPACE]))

    assert (verdict.ready, verdict.stalled, verdict.reconciling) == (True, True, None)
    assert verdict.message.startswith("1 of 1 daemon ready. ")


def test_a_daemon_that_may_get_well_by_itself_is_not_stalled() -> None:
    verdict = judge(make_builder(), DaemonsObserved([make_deployment()], [PULL_FAILS]))

    assert (verdict.ready, verdict.reason, verdict.stalled) == (False, Reason.IMAGE_PULL_FAILED, False)
    assert verdict.reconciling == verdict.message


def test_a_daemon_that_waits_for_somebody_is_stalled() -> None:
    verdict = judge(make_builder(), DaemonsObserved([make_deployment()], [NO_USER_NAMESPACE]))

    assert (verdict.ready, verdict.reason, verdict.stalled) == (False, Reason.USER_NAMESPACE_DENIED, True)
    assert verdict.reconciling is None


def test_scaled_to_zero_is_as_it_was_asked_for_and_needs_nothing() -> None:
    verdict = judge(make_builder(shared={"replicas": 0}), DaemonsObserved([make_deployment(total=0)]))

    assert (verdict.ready, verdict.reason) == (True, Reason.SCALED_TO_ZERO)
    assert not verdict.stalled
    assert verdict.reconciling is None


def test_the_last_daemon_still_serves_while_scaling_to_zero() -> None:
    assert judge(make_builder(shared={"replicas": 0}), DaemonsObserved([make_deployment(total=1, ready=1)])).ready


def test_without_tls_a_ready_builder_says_what_that_means() -> None:
    verdict = judge(
        make_builder(shared={"tls": {"mode": "Disabled"}}), DaemonsObserved([make_deployment(total=1, ready=1)])
    )

    assert verdict.message.startswith("1 of 1 daemon ready. TLS is disabled: anyone who reaches the port can build")


def test_a_problem_stalls_whatever_the_daemons_do() -> None:
    problem = TerminalError(Reason.INVALID_TOML, "spec.daemon.toml has the key x.")
    verdict = judge(make_builder(), DaemonsObserved([make_deployment(total=1, ready=1)], blocked=problem))

    assert (verdict.ready, verdict.reason, verdict.stalled) == (False, Reason.INVALID_TOML, True)
    assert verdict.message == "spec.daemon.toml has the key x."


def test_a_suspended_builder_says_how_it_is_doing() -> None:
    verdict = judge(make_builder(suspend=True), DaemonsObserved([make_deployment(total=1, ready=1)]))

    assert (verdict.ready, verdict.reason) == (True, Reason.SUSPENDED)
    assert verdict.message.startswith("spec.suspend is true")
    assert verdict.message.endswith("1 of 1 daemon ready.")


def test_a_suspended_builder_that_serves_is_neither_stalled_nor_on_its_way() -> None:
    verdict = judge(make_builder(suspend=True), DaemonsObserved([make_deployment(total=2, updated=1, ready=1)]))

    assert (verdict.ready, verdict.stalled, verdict.reconciling) == (True, False, None)


def test_of_a_suspended_builder_kubernetes_may_still_bring_the_daemon_back() -> None:
    verdict = judge(make_builder(suspend=True), DaemonsObserved([make_deployment()]))

    assert (verdict.ready, verdict.reason, verdict.stalled) == (False, Reason.SUSPENDED, False)
    assert verdict.reconciling == verdict.message


def test_what_was_suspended_before_anything_was_made_waits_for_somebody() -> None:
    verdict = judge(make_builder(suspend=True), DaemonsObserved())

    assert (verdict.ready, verdict.reason, verdict.stalled) == (False, Reason.SUSPENDED, True)
    assert verdict.message.endswith("Nothing was made of it so far: set spec.suspend to false.")


# Conditions


def test_ready_is_there_always_and_the_others_only_while_they_are_true() -> None:
    problem = TerminalError(Reason.NAME_CONFLICT, "Taken.")

    assert types(status_of(DaemonsObserved([make_deployment(total=1, ready=1)]))) == ["Ready"]
    assert types(status_of(DaemonsObserved())) == ["Ready", "Reconciling"]
    assert types(status_of(DaemonsObserved(blocked=problem))) == ["Ready", "Stalled"]


def test_a_condition_has_all_that_the_api_conventions_ask_for() -> None:
    assert condition(status_of(DaemonsObserved([make_deployment(total=1, ready=1)]), generation=4), "Ready") == {
        "type": "Ready",
        "status": "True",
        "reason": "Available",
        "message": "1 of 1 daemon ready.",
        "observedGeneration": 4,
        "lastTransitionTime": STAMP,
    }


def test_what_goes_on_and_what_is_stuck_say_the_same_as_ready() -> None:
    stalled = status_of(DaemonsObserved([make_deployment()], [NO_USER_NAMESPACE]))
    reconciling = status_of(DaemonsObserved([make_deployment()], [PULL_FAILS]))

    for found in ("status", "reason"):
        assert condition(stalled, "Stalled")[found] == {"status": "True", "reason": "UserNamespaceDenied"}[found]
        assert condition(reconciling, "Reconciling")[found] == {"status": "True", "reason": "Progressing"}[found]
    assert condition(stalled, "Stalled")["message"] == condition(stalled, "Ready")["message"]
    assert condition(reconciling, "Reconciling")["message"] == condition(reconciling, "Ready")["message"]


def test_what_somebody_must_mend_names_its_page() -> None:
    stalled = status_of(DaemonsObserved(blocked=TerminalError(Reason.NAME_CONFLICT, "Taken.")))
    reconciling = status_of(DaemonsObserved([make_deployment()], [PULL_FAILS]))

    for kind in ("Ready", "Stalled"):
        assert condition(stalled, kind)["message"] == f"Taken.{page('NameConflict')}"
    for kind in ("Ready", "Reconciling"):
        assert condition(reconciling, kind)["message"].endswith(page("ImagePullFailed"))


@pytest.mark.parametrize(
    ("observed", "spec"),
    [
        (DaemonsObserved(), {}),
        (DaemonsObserved([make_deployment(total=1, ready=1)]), {}),
        (DaemonsObserved([make_deployment(total=2, updated=1, ready=1)], [PULL_FAILS]), {}),
        (DaemonsObserved([make_deployment(total=0)]), {"shared": {"replicas": 0}}),
        (DaemonsObserved([make_deployment()], [PULL_FAILS]), {"suspend": True}),
        (DaemonsObserved([make_deployment(total=1, ready=1)]), {"shared": {"tls": {"mode": "Disabled"}}}),
        (DaemonsObserved(blocked=Pending(Reason.CERTIFICATE_PENDING, "Not yet.")), {}),
    ],
)
def test_what_is_well_or_will_pass_names_none(observed: Observed, spec: Manifest) -> None:
    messages = [found["message"] for found in status_of(observed, **spec)["conditions"]]

    assert not [message for message in messages if "https://" in message]


def test_a_message_is_cut_to_what_the_api_server_accepts_and_names_its_page_all_the_same() -> None:
    status = status_of(DaemonsObserved(blocked=TerminalError(Reason.INVALID_TOML, "ü" * 40_000)))

    message = condition(status, "Ready")["message"]
    assert len(message.encode()) <= 32768
    assert message.startswith("üüü")
    assert message.endswith(f"ü…{page('InvalidToml')}")


def test_the_generation_is_the_one_that_was_looked_at() -> None:
    assert status_of(DaemonsObserved(), generation=9)["observedGeneration"] == 9


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    before = status_of(DaemonsObserved())
    after = status_for(make_builder(), DaemonsObserved([make_deployment()]), before, LATER)

    assert condition(after, "Ready")["message"] != condition(before, "Ready")["message"]
    assert condition(after, "Ready")["lastTransitionTime"] == STAMP


def test_a_condition_gets_a_new_time_when_its_status_changes() -> None:
    before = status_of(DaemonsObserved())
    after = status_for(make_builder(), DaemonsObserved([make_deployment(total=1, ready=1)]), before, LATER)

    assert condition(after, "Ready")["lastTransitionTime"] == "2026-11-24T13:00:00Z"


def test_a_condition_that_comes_back_gets_a_new_time() -> None:
    ready = status_of(DaemonsObserved([make_deployment(total=1, ready=1)]))
    again = status_for(make_builder(), DaemonsObserved([make_deployment(total=2, updated=1, ready=1)]), ready, LATER)

    assert condition(again, "Reconciling")["lastTransitionTime"] == "2026-11-24T13:00:00Z"


def test_nothing_new_gives_the_same_status_at_any_time() -> None:
    observed = DaemonsObserved([make_deployment()], [PULL_FAILS])
    before = status_of(observed)

    assert status_for(make_builder(), observed, before, LATER) == before


# The other fields


def test_the_facts_tell_how_to_reach_a_builder() -> None:
    status = status_of(DaemonsObserved([make_deployment(total=3, ready=2)]), shared={"port": 4321, "replicas": 3})

    assert {key: status[key] for key in status if key not in {"conditions", "observedGeneration"}} == {
        "endpoint": "tcp://demo-buildkitd.ci.svc:4321",
        "connectionSecretName": "demo-connection",
        "image": "example.com/buildkit:1",
        "replicas": 3,
        "readyReplicas": 2,
        "selector": "buildkit-operator.dev/owner=demo,app.kubernetes.io/name=buildkitd",
    }


def test_there_are_no_facts_before_there_is_a_deployment() -> None:
    assert set(status_of(DaemonsObserved())) == {"observedGeneration", "conditions"}


def test_a_sidecar_has_no_facts_of_a_deployment_that_is_on_its_way_out() -> None:
    before = status_of(DaemonsObserved([make_deployment()]))

    assert set(status_of(SidecarObserved(), before, mode="Sidecar")) == {"observedGeneration", "conditions"}


def test_when_the_daemons_certificate_begins_and_ends_is_shown() -> None:
    authority = issue_authority("test", timedelta(days=10), NOW)
    server = issue_leaf(authority, "server", Usage.SERVER, ["demo"], timedelta(days=1), NOW)
    certificates = replace(FAKE_CERTIFICATES, server=server)
    observed = DaemonsObserved([make_deployment()], certificates=certificates)

    status = status_of(observed)
    assert status["certificateNotAfterTime"] == "2026-11-25T12:00:00Z"
    assert status["certificateNotBeforeTime"] == "2026-11-24T11:55:00Z"


def test_a_spec_that_cannot_be_read_is_stalled_and_says_where() -> None:
    status = status_for_unreadable(2, TerminalError(Reason.INVALID_SPEC, "spec.mode: unknown."), {}, NOW)

    assert types(status) == ["Ready", "Stalled"]
    assert condition(status, "Ready")["message"] == f"spec.mode: unknown.{page('InvalidSpec')}"
    assert status["observedGeneration"] == 2


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_is_a_word_that_conditions_may_have(reason: Reason) -> None:
    assert reason.value.isalpha()
    assert reason.value[0].isupper()


# Autoscaling


SCALED = make_builder(shared={"autoscaling": {"minReplicas": 0, "maxReplicas": 4}})
WANTED = Scaling(2, before=1, last_scaled=NOW, message="From 1 to 2 daemons: 5 runner pods, 4 for each.")


def scaled_deployment(replicas: int) -> Manifest:
    made = make_deployment(total=replicas, ready=replicas)
    return {**made, "spec": {**made["spec"], "replicas": replicas}}


def test_what_autoscaling_wants_is_told_once_the_workload_has_it() -> None:
    before = {"autoscaling": {"desiredReplicas": 1}}

    done = status_for(SCALED, DaemonsObserved([scaled_deployment(2)], scaling=WANTED), before, NOW)
    refused = status_for(SCALED, DaemonsObserved([scaled_deployment(1)], scaling=WANTED), before, NOW)

    assert done["autoscaling"] == {
        "desiredReplicas": 2,
        "lastScaleTime": "2026-11-24T12:00:00Z",
        "message": "From 1 to 2 daemons: 5 runner pods, 4 for each.",
    }
    assert refused["autoscaling"] == {"desiredReplicas": 1}


def test_a_builder_without_autoscaling_tells_none() -> None:
    status = status_for(make_builder(), DaemonsObserved([scaled_deployment(1)]), {"autoscaling": {}}, NOW)

    assert "autoscaling" not in status


def test_what_was_scaled_to_zero_comes_back_with_a_runner_pod() -> None:
    verdict = judge(SCALED.with_replicas(0), DaemonsObserved([scaled_deployment(0)], scaling=Scaling(0)))

    assert (verdict.ready, verdict.reason) == (True, Reason.SCALED_TO_ZERO)
    assert "no daemon runs until a runner pod comes" in verdict.message
