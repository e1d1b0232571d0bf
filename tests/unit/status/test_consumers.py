"""What a builder that uses another's daemons says of itself."""

from dataclasses import replace
from typing import Any

from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.controller.requeue import UNWATCHED_FIX_REQUEUE, requeue_after
from buildkit_operator.desired.consumers import Grant
from buildkit_operator.pki.issuer import issue_authority, issue_leaf
from buildkit_operator.pki.keypairs import Lifetimes, Usage
from buildkit_operator.status import ConsumerObserved, Observed, Pending, Status, Verdict, judge, status_for
from tests.unit.make import NOW, make_builder

LIFETIMES = Lifetimes()
CONSUMER = make_builder("team", shared={"from": {"namespace": "ci", "name": "demo"}})
AUTHORITY = issue_authority("test", LIFETIMES.authority, NOW)
CLIENT = issue_leaf(AUTHORITY, "client", Usage.CLIENT, [], LIFETIMES.granted, NOW)


def grant(*conditions: dict[str, str]) -> Grant:
    status = {"conditions": list(conditions)}
    return Grant(make_builder(), status, AUTHORITY.certificate, CLIENT, NOW + LIFETIMES.granted / 3)


def ready(status: str, reason: str) -> dict[str, str]:
    return {"type": "Ready", "status": status, "reason": reason, "message": "Secret words."}


GOOD = grant(ready("True", "Available"))


def verdict_on(grant: Grant) -> Verdict:
    return judge(CONSUMER, ConsumerObserved(grant=grant))


def status_of(observed: Observed, previous: Status | None = None, **spec: Any) -> Status:
    builder = make_builder("team", shared={"from": {"namespace": "ci", "name": "demo"}}, **spec)
    return status_for(builder, observed, previous or {}, NOW)


def test_it_is_ready_when_its_provider_is() -> None:
    verdict = verdict_on(GOOD)

    assert (verdict.ready, verdict.reason) == (True, Reason.AVAILABLE)


def test_of_a_provider_that_is_not_ready_the_reason_alone_is_told() -> None:
    verdict = verdict_on(grant(ready("False", "ImagePullFailed"), {"type": "Reconciling", "status": "True"}))

    assert (verdict.ready, verdict.reason) == (False, Reason.PROVIDER_NOT_READY)
    assert verdict.message == "Builds run on builder demo of namespace ci, which is not ready: ImagePullFailed."
    assert verdict.reconciling == verdict.message


def test_where_the_provider_waits_for_somebody_its_consumers_do() -> None:
    verdict = verdict_on(grant(ready("False", "PodSecurityDenied"), {"type": "Stalled", "status": "True"}))

    assert (verdict.ready, verdict.reason, verdict.stalled) == (False, Reason.PROVIDER_NOT_READY, True)
    assert verdict.reconciling is None


def test_at_zero_it_is_as_ready_as_its_provider() -> None:
    verdict = verdict_on(grant(ready("True", "ScaledToZero")))

    assert (verdict.ready, verdict.reason) == (True, Reason.SCALED_TO_ZERO)
    assert "which is scaled to zero; until it is not, builds wait" in verdict.message


def test_a_provider_that_was_not_looked_at_yet_is_on_its_way() -> None:
    verdict = verdict_on(grant())

    assert "not ready: Progressing" in verdict.message
    assert verdict.reconciling == verdict.message


def test_its_facts_are_its_providers_address_and_its_own_certificate() -> None:
    status = status_of(ConsumerObserved(grant=GOOD))

    assert status["endpoint"] == "tcp://demo-buildkitd.ci.svc:1234"
    assert status["connectionSecretName"] == "team-connection"
    assert status["certificateNotAfterTime"] == "2026-11-25T12:00:00Z"
    assert status["certificateNotBeforeTime"] == "2026-11-24T11:55:00Z"
    assert "replicas" not in status


def test_what_it_had_stays_while_its_provider_will_not_have_it() -> None:
    before = status_of(ConsumerObserved(grant=GOOD))
    after = status_of(ConsumerObserved(blocked=TerminalError(Reason.NOT_ADMITTED, "No.")), before)

    assert {key: after[key] for key in after if key != "conditions"} == {
        key: before[key] for key in before if key != "conditions"
    }
    assert [condition["type"] for condition in after["conditions"]] == ["Ready", "Stalled"]


def test_suspended_it_keeps_what_it_had_and_is_as_ready_as_its_provider() -> None:
    before = status_of(ConsumerObserved(grant=GOOD))
    moved = replace(GOOD, provider=make_builder(shared={"port": 4321}))
    after = status_of(ConsumerObserved(grant=moved), before, suspend=True)

    assert after["endpoint"] == before["endpoint"]
    (only,) = after["conditions"]
    assert (only["status"], only["reason"]) == ("True", "Suspended")


def test_it_is_looked_at_again_when_its_certificate_is_due() -> None:
    assert requeue_after(CONSUMER, ConsumerObserved(grant=GOOD), NOW) == 8 * 3600


def test_it_is_looked_at_soon_while_its_provider_has_no_certificates() -> None:
    waiting = ConsumerObserved(blocked=Pending(Reason.PROVIDER_NOT_READY, "No certificates yet."))

    assert requeue_after(CONSUMER, waiting, NOW) == UNWATCHED_FIX_REQUEUE
    assert judge(CONSUMER, waiting).reason == Reason.PROVIDER_NOT_READY
