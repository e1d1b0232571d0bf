"""What a Shared builder says of its runner pods: what they get stays, whatever becomes of its daemons."""

from buildkit_operator.status import DaemonsObserved, Observed, Status, differs_in_counts_only, status_for
from tests.unit.make import NOW, injection_of, make_builder, make_deployment, make_pod

BUILDER = make_builder()
INJECTION = injection_of(BUILDER)


def status_of(observed: Observed, previous: Status | None = None) -> Status:
    return status_for(BUILDER, observed, previous or {}, NOW)


def test_what_pods_get_is_told_before_there_is_a_daemon() -> None:
    status = status_of(DaemonsObserved(injection=INJECTION))

    assert status["injection"] == INJECTION
    assert status["pods"] == {"injected": 0, "ready": 0, "failed": 0}
    assert status["conditions"][0]["status"] == "False"


def test_what_pods_get_stays_while_it_cannot_be_rendered() -> None:
    assert status_of(DaemonsObserved(), {"injection": INJECTION})["injection"] == INJECTION


def test_runner_pods_are_counted_and_the_daemons_own_are_not() -> None:
    runner = make_pod("runner", initContainerStatuses=[{"name": "buildkit-connector", "state": {}, "started": False}])
    daemons = make_deployment(total=1, ready=1)

    before = status_of(DaemonsObserved([daemons], [make_pod()], injection=INJECTION))
    after = status_of(DaemonsObserved([daemons], [make_pod()], injection=INJECTION, runners=[runner]), before)

    assert before["pods"]["injected"] == 0
    assert after["pods"]["injected"] == 1
    assert differs_in_counts_only(after, before)
