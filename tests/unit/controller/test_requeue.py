"""When a builder is looked at again although nothing has happened."""

from datetime import timedelta

from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.controller.certificate_issuance import StoredCertificates, issue_due
from buildkit_operator.controller.requeue import (
    PREVIOUS_OWNER_REQUEUE,
    SUSPENDED_REQUEUE,
    UNWATCHED_FIX_REQUEUE,
    requeue_after,
)
from buildkit_operator.pki.keypairs import Lifetimes
from buildkit_operator.status import DaemonsObserved, Pending, ProbeResult, SidecarObserved
from buildkit_operator.status.diagnosis.daemons import Finding
from tests.unit.make import NOW, make_builder

CERTIFICATES = issue_due(
    make_builder(), StoredCertificates(None, None, None, None, None), "cluster.local", Lifetimes(), NOW
)
DUE = CERTIFICATES.renewal + timedelta(days=1)


def test_at_the_time_of_the_next_renewal() -> None:
    seconds = requeue_after(make_builder(), DaemonsObserved(certificates=CERTIFICATES), NOW)

    assert seconds == (CERTIFICATES.renewal - NOW).total_seconds()


def test_at_once_when_a_renewal_is_due() -> None:
    assert requeue_after(make_builder(), DaemonsObserved(certificates=CERTIFICATES), DUE) == 0


def test_now_and_then_while_suspended_for_what_is_due_may_stay_due() -> None:
    suspended = make_builder(suspend=True)

    assert requeue_after(suspended, DaemonsObserved(certificates=CERTIFICATES), DUE) == SUSPENDED_REQUEUE
    seconds = requeue_after(suspended, DaemonsObserved(certificates=CERTIFICATES), NOW)
    assert seconds == (CERTIFICATES.renewal - NOW).total_seconds()


def test_at_once_after_what_runner_pods_get_was_written() -> None:
    assert requeue_after(make_builder(), DaemonsObserved(certificates=CERTIFICATES, is_new=True), NOW) == 0


def test_soon_with_a_problem_or_a_leftover() -> None:
    problem = TerminalError(Reason.SECRET_NOT_FOUND, "Secret company-ca is missing.")

    assert (
        requeue_after(make_builder(), DaemonsObserved(blocked=problem, certificates=CERTIFICATES), DUE)
        == UNWATCHED_FIX_REQUEUE
    )
    assert (
        requeue_after(make_builder(), DaemonsObserved(blocked=Pending(Reason.PROGRESSING, "something")), NOW)
        == PREVIOUS_OWNER_REQUEUE
    )


def test_never_without_certificates() -> None:
    assert requeue_after(make_builder(), DaemonsObserved(), NOW) is None


SIDECAR = make_builder(mode="Sidecar")
REFUSED = ProbeResult(served=False, finding=Finding(Reason.POD_SECURITY_DENIED, "Refused."))


def test_at_once_after_what_pods_get_was_written() -> None:
    assert requeue_after(SIDECAR, SidecarObserved(), NOW) == 0


def test_when_the_next_probe_is_due() -> None:
    assert requeue_after(SIDECAR, SidecarObserved(), NOW, 0.4) == 0.4


def test_soon_when_the_namespace_is_in_the_way() -> None:
    assert requeue_after(SIDECAR, SidecarObserved(probe=REFUSED), NOW) == UNWATCHED_FIX_REQUEUE


def test_at_the_next_resync_only_once_a_sidecar_is_served() -> None:
    assert requeue_after(SIDECAR, SidecarObserved(probe=ProbeResult(served=True)), NOW) is None


def test_a_suspended_sidecar_is_tried_on() -> None:
    suspended = make_builder(mode="Sidecar", suspend=True)

    assert requeue_after(suspended, SidecarObserved(), NOW, 0.4) == 0.4
    assert requeue_after(suspended, SidecarObserved(probe=ProbeResult(served=True)), NOW) is None


def test_when_a_pod_should_have_gone() -> None:
    killed_at = (NOW + timedelta(seconds=125)).isoformat()
    stopping = {
        "metadata": {"name": "team-buildkitd-1", "deletionTimestamp": killed_at},
        "status": {"containerStatuses": [{"name": "buildkitd", "state": {"running": {}}}]},
    }

    assert requeue_after(make_builder(), DaemonsObserved(certificates=CERTIFICATES, pods=[stopping]), NOW) == 155
