"""How often a pod is tried, and what each answer of the API server means."""

import pytest

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason
from buildkit_operator.controller.injection_probe import (
    BACKOFF_SECONDS,
    RETRY_SECONDS,
    InjectionProbe,
    admitted,
    refused,
)
from buildkit_operator.kube import errors
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status import ProbeResult
from buildkit_operator.status.diagnosis.daemons import Finding
from tests.unit.make import injection_of, make_builder

BUILDER = make_builder(mode="Sidecar")
INJECTION = injection_of(BUILDER)
SERVED = ProbeResult(served=True)
BARE = ProbeResult(served=False, finding=Finding(Reason.INJECTION_NOT_SERVED, "Nothing injects."))


class Attempts:
    """Counts the probe, which end as told, and keeps the time."""

    def __init__(self) -> None:
        self.outcome = SERVED
        self.made = 0
        self.now = 1000.0

    async def __call__(self, builder: BuildKitBuilder) -> ProbeResult:
        assert builder is BUILDER
        self.made += 1
        return self.outcome


@pytest.fixture
def attempts() -> Attempts:
    return Attempts()


@pytest.fixture
def probe(attempts: Attempts) -> InjectionProbe:
    return InjectionProbe(attempts, lambda: attempts.now, 300)


async def outcome(
    probe: InjectionProbe, *, served_before: bool = False, injection: Manifest = INJECTION
) -> ProbeResult | None:
    return await probe.result(BUILDER, injection, served_before=served_before)


async def test_a_success_is_believed_until_the_resync(probe: InjectionProbe, attempts: Attempts) -> None:
    for _ in range(3):
        assert await outcome(probe) == SERVED
    assert attempts.made == 1
    assert probe.requeue_after(BUILDER) is None

    attempts.now += 331
    await outcome(probe)
    assert attempts.made == 2


async def test_a_change_of_what_pods_get_is_tried_at_once(probe: InjectionProbe, attempts: Attempts) -> None:
    await outcome(probe)
    await outcome(probe, injection={**INJECTION, "containers": ["job"]})

    assert attempts.made == 2


async def test_after_a_restart_nothing_is_tried_that_served_before(probe: InjectionProbe, attempts: Attempts) -> None:
    assert await outcome(probe, served_before=True) == SERVED
    assert attempts.made == 0

    attempts.now += 331
    await outcome(probe, served_before=True)
    assert attempts.made == 1


async def test_an_engine_is_given_a_moment_to_hear_of_it(probe: InjectionProbe, attempts: Attempts) -> None:
    attempts.outcome = BARE
    for pause in BACKOFF_SECONDS:
        assert await outcome(probe) is None
        assert probe.requeue_after(BUILDER) == pytest.approx(pause)
        attempts.now += pause
    attempts.outcome = SERVED

    assert await outcome(probe) == ProbeResult(served=True)
    assert probe.requeue_after(BUILDER) is None


async def test_between_two_probes_nothing_is_asked(probe: InjectionProbe, attempts: Attempts) -> None:
    attempts.outcome = BARE
    await outcome(probe)
    await outcome(probe)

    assert attempts.made == 1


async def test_an_engine_that_stays_away_is_told_after_a_while(probe: InjectionProbe, attempts: Attempts) -> None:
    attempts.outcome = BARE
    for pause in BACKOFF_SECONDS:
        await outcome(probe)
        attempts.now += pause

    assert await outcome(probe) == BARE
    assert probe.requeue_after(BUILDER) == RETRY_SECONDS


async def test_what_somebody_must_change_is_told_at_once(probe: InjectionProbe, attempts: Attempts) -> None:
    attempts.outcome = ProbeResult(served=False, finding=Finding(Reason.POD_SECURITY_DENIED, "Refused."))

    assert await outcome(probe) == attempts.outcome


async def test_a_probe_that_is_forgotten_is_due_no_more(probe: InjectionProbe, attempts: Attempts) -> None:
    attempts.outcome = BARE
    await outcome(probe)
    attempts.now += RETRY_SECONDS
    assert probe.requeue_after(BUILDER) == 0

    probe.forget(BUILDER.metadata.namespace, BUILDER.metadata.name)

    assert probe.requeue_after(BUILDER) is None


# What an answer of the API server means


def finding(result: ProbeResult) -> Finding:
    assert result.finding is not None
    return result.finding


def test_a_pod_with_the_mark_of_the_builder_was_served() -> None:
    assert admitted(BUILDER, pod("buildkit-operator.dev/injected")) == SERVED


def test_a_bare_pod_means_that_nothing_injects() -> None:
    bare = admitted(BUILDER, pod("buildkit-operator.dev/builder"))

    assert not bare.served
    assert finding(bare).reason is Reason.INJECTION_NOT_SERVED


def pod(label: str) -> Manifest:
    return {"metadata": {"labels": {label: "demo"}}}


@pytest.mark.parametrize(
    "error",
    [
        errors.Invalid("POST …: ValidatingAdmissionPolicy 'buildkit-operator-pods' denied request: … (422)"),
        errors.Unavailable('POST …: failed calling webhook "label.buildkit-operator.dev": connection refused (500)'),
        errors.Unavailable('POST …: admission webhook "label.buildkit-operator.dev" denied the request: … (429)'),
    ],
)
def test_a_refusal_by_the_engine_itself_is_no_service(error: errors.ApiError) -> None:
    result = refused(BUILDER, error)

    assert not result.served
    assert finding(result).reason is Reason.INJECTION_NOT_SERVED


def test_pod_security_is_told_with_its_remedy() -> None:
    said = 'POST …: pods "x" is forbidden: violates PodSecurity "baseline:latest": seccomp (403)'
    result = refused(BUILDER, errors.Forbidden(said))

    assert not result.served
    assert finding(result).reason is Reason.POD_SECURITY_DENIED
    assert "spec.isolation" in finding(result).message


def test_a_refusal_by_others_says_nothing_of_runner_pods() -> None:
    result = refused(BUILDER, errors.Forbidden('POST …: pods "x" is forbidden: exceeded quota: none (403)'))

    assert result.served
    assert "exceeded quota: none" in finding(result).message


def test_without_the_right_to_try_a_builder_counts_as_served() -> None:
    said = 'POST …: pods is forbidden: User "x" cannot create resource "pods" (403)'

    assert refused(BUILDER, errors.Forbidden(said)) == SERVED


def test_an_api_server_that_is_away_says_nothing_of_the_builder() -> None:
    with pytest.raises(errors.Unavailable):
        refused(BUILDER, errors.Unavailable("POST …: connection refused"))
