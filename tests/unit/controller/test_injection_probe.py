"""How often a pod is tried, and what each answer of the API server means."""

from typing import Any

import pytest

from buildkit_operator.api.builder import BuildKitBuilder
from buildkit_operator.api.reasons import Reason
from buildkit_operator.controller.injection_probe import (
    BACKOFF_SECONDS,
    RETRY_SECONDS,
    Before,
    InjectionProbe,
    admitted,
    compared,
    refused,
)
from buildkit_operator.desired.probe_pod import control_pod, probe_pod
from buildkit_operator.kube import errors
from buildkit_operator.kube.resources import Manifest
from buildkit_operator.status import DaemonsObserved, ProbeResult, judge
from buildkit_operator.status.diagnosis.daemons import Finding
from tests.unit.make import injection_of, make_builder, make_deployment

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

    async def __call__(self, builder: BuildKitBuilder, _injection: Manifest) -> ProbeResult:
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
    probe: InjectionProbe, before: Before = Before.UNTOLD, injection: Manifest = INJECTION
) -> ProbeResult | None:
    return await probe.result(BUILDER, injection, before)


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
    assert await outcome(probe, Before.SERVED) == SERVED
    assert attempts.made == 0

    attempts.now += 331
    await outcome(probe, Before.SERVED)
    assert attempts.made == 1


async def test_after_a_restart_what_was_told_is_told_again_at_once(probe: InjectionProbe, attempts: Attempts) -> None:
    attempts.outcome = BARE

    assert await outcome(probe, Before.TOLD) == BARE
    assert probe.requeue_after(BUILDER) == RETRY_SECONDS

    attempts.now += RETRY_SECONDS
    attempts.outcome = SERVED
    assert await outcome(probe, Before.TOLD) == SERVED
    assert probe.requeue_after(BUILDER) is None


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


async def test_what_others_refuse_is_tried_again_before_the_resync_and_ever_more_seldom(
    probe: InjectionProbe, attempts: Attempts
) -> None:
    attempts.outcome = ProbeResult(served=True, finding=Finding(Reason.AVAILABLE, "A quota is exhausted."))
    pauses = []
    for _ in range(7):
        assert await outcome(probe) == attempts.outcome
        pauses.append(probe.requeue_after(BUILDER) or 0)
        attempts.now += pauses[-1]
    assert pauses == [pytest.approx(seconds, rel=0.2) for seconds in (10, 20, 40, 80, 160, 300, 300)]

    attempts.outcome = SERVED
    assert await outcome(probe) == SERVED
    assert probe.requeue_after(BUILDER) is None


async def test_a_probe_that_is_forgotten_is_due_no_more(probe: InjectionProbe, attempts: Attempts) -> None:
    attempts.outcome = BARE
    await outcome(probe)
    attempts.now += RETRY_SECONDS
    assert probe.requeue_after(BUILDER) == 0

    probe.forget(BUILDER.metadata.namespace, BUILDER.metadata.name)

    assert probe.requeue_after(BUILDER) is None


# What an answer of the API server means


def finding(result: ProbeResult | None) -> Finding:
    assert result is not None
    assert result.finding is not None
    return result.finding


def test_a_pod_with_the_mark_of_the_builder_was_served() -> None:
    assert admitted(BUILDER, INJECTION, pod("buildkit-operator.dev/injected")) == SERVED


def test_a_bare_pod_means_that_nothing_injects() -> None:
    bare = admitted(BUILDER, INJECTION, pod("buildkit-operator.dev/builder"))

    assert not bare.served
    assert finding(bare).reason is Reason.INJECTION_NOT_SERVED


def pod(label: str, **spec: Any) -> Manifest:
    return {"metadata": {"labels": {label: "demo"}}, "spec": {"initContainers": INJECTION["initContainers"], **spec}}


def test_a_pod_with_what_was_rendered_before_says_that_the_engine_has_not_heard_yet() -> None:
    old = [{**INJECTION["initContainers"][0], "image": "example.com/old:1"}]

    assert not admitted(BUILDER, INJECTION, pod("buildkit-operator.dev/injected", initContainers=old)).is_current


async def test_an_engine_that_gives_something_else_is_believed_after_a_while(
    probe: InjectionProbe, attempts: Attempts
) -> None:
    attempts.outcome = ProbeResult(served=True, is_current=False)
    for pause in BACKOFF_SECONDS:
        assert await outcome(probe) is None
        attempts.now += pause

    assert await outcome(probe) == attempts.outcome
    assert probe.requeue_after(BUILDER) is None


@pytest.mark.parametrize(
    "error",
    [
        errors.Invalid("POST …: ValidatingAdmissionPolicy 'buildkit-operator-pods' denied request: … (422)"),
        errors.Unavailable('POST …: failed calling webhook "label.buildkit-operator.dev": connection refused (500)'),
        errors.Unavailable('POST …: admission webhook "label.buildkit-operator.dev" denied the request: … (429)'),
    ],
)
def test_a_refusal_by_the_engine_itself_is_no_service(error: errors.ApiError) -> None:
    result = refused(BUILDER, INJECTION, error)

    assert result is not None
    assert not result.served
    assert finding(result).reason is Reason.INJECTION_NOT_SERVED


def test_pod_security_is_told_with_its_remedy() -> None:
    said = 'POST …: pods "x" is forbidden: violates PodSecurity "baseline:latest": seccomp (403)'
    result = refused(BUILDER, INJECTION, errors.Forbidden(said))

    assert result is not None
    assert not result.served
    assert finding(result).reason is Reason.POD_SECURITY_DENIED
    assert "spec.isolation" in finding(result).message


USED_UP = 'POST …: pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=9, limited: pods=9 (403)'


def test_a_quota_that_is_used_up_says_nothing_of_runner_pods() -> None:
    error = errors.Forbidden(USED_UP)

    assert refused(BUILDER, INJECTION, error) is None
    for control in (None, error):
        result = compared(BUILDER, error, control)
        assert result.served
        assert "exceeded quota: q" in finding(result).message


POLICY = "ValidatingAdmissionPolicy 'theirs' with binding 'theirs' denied request: no"


@pytest.mark.parametrize(
    "error",
    [
        errors.Forbidden(f'POST …: pods "demo-buildkit-probe-x7k2p" is forbidden: {POLICY} (403)'),
        errors.Invalid(f'POST …: pods "demo-buildkit-probe-x7k2p" is forbidden: {POLICY} (422)', status=422),
        errors.Invalid('POST …: admission webhook "theirs" denied the request: no (400)', status=400),
        errors.ApiError('POST …: admission webhook "theirs" denied the request: no (418)', status=418),
        errors.Invalid('POST …: Pod "x" is invalid: spec.containers[1].name: Required (422)', fields=["spec.x"]),
    ],
)
def test_a_policy_refuses_what_is_added_if_it_takes_the_pod_without(error: errors.ApiError) -> None:
    assert refused(BUILDER, INJECTION, error) is None

    result = compared(BUILDER, error, None)
    assert not result.served
    assert finding(result).reason is Reason.PODS_REFUSED
    assert "spec.resources or spec.image" in finding(result).message

    same = type(error)(str(error).replace("x7k2p", "b4d9q"))
    assert compared(BUILDER, error, same) == ProbeResult(served=True, finding=finding(compared(BUILDER, error, same)))
    assert finding(compared(BUILDER, error, same)).message.startswith("A probe pod was refused, though: ")

    another = errors.Forbidden("POST …: admission webhook denied the request: it lacks a label (403)")
    assert not compared(BUILDER, error, another).served


def test_a_policy_on_images_is_about_that_of_the_builder() -> None:
    error = errors.Forbidden("POST …: admission webhook denied the request: unknown image registry (403)")

    assert not compared(BUILDER, error, error).served


def test_the_end_of_a_name_that_the_api_server_made_up_is_no_news() -> None:
    error = errors.Forbidden(f'POST …: pods "demo-buildkit-probe-x7k2p" is forbidden: {POLICY} (403)')

    assert '"demo-buildkit-probe-…"' in finding(compared(BUILDER, error, None)).message


def test_without_the_right_to_try_a_builder_counts_as_served_and_says_so() -> None:
    said = 'POST …: pods is forbidden: User "x" cannot create resource "pods" (403)'
    result = refused(BUILDER, INJECTION, errors.Forbidden(said, missing_right="create pods in namespace ci"))

    assert result is not None
    assert result.served
    assert "the operator may not create pods in namespace ci" in finding(result).message


def test_an_api_server_that_is_away_says_nothing_of_the_builder() -> None:
    with pytest.raises(errors.Unavailable):
        refused(BUILDER, INJECTION, errors.Unavailable("POST …: connection refused"))


# What is added to pods is refused itself


@pytest.mark.parametrize("field", ["spec.initContainers[0].resources.requests[memory]", "spec.volumes[3].name"])
def test_what_validation_finds_wrong_with_our_part_is_the_builders_fault(field: str) -> None:
    said = f'POST …: Pod "demo-buildkit-probe-x7k2p" is invalid: {field}: Invalid value: "-1" (422)'
    result = refused(BUILDER, INJECTION, errors.Invalid(said, status=422, fields=[field]))

    assert result is not None
    assert not result.served
    assert finding(result).user_must_act
    assert field in finding(result).message


QUOTA = 'pods "x" is forbidden: failed quota: compute: must specify limits.cpu for: '
NO_LIMIT = "maximum memory usage per Container is 1Gi, but no limit is specified"
RANGE = 'pods "x" is forbidden: '


OVER = 'pods "x" is forbidden: exceeded quota: q, requested: '


@pytest.mark.parametrize(
    "said",
    [
        f"{QUOTA}buildkitd,job",
        f"{QUOTA}a,buildkitd; limits.memory for: a",
        f"{RANGE}minimum cpu usage per Container is 50m, but request is 10m",
        f"{RANGE}[minimum cpu usage per Container is 1, but request is 11m, {NO_LIMIT}]",
        f"{RANGE}{NO_LIMIT}",
        f"{RANGE}cpu max limit to request ratio per Container is 2, but provided ratio is 12.800000",
        f"{RANGE}maximum memory usage per Pod is 1Gi, but limit is 4294967296",
        f"{OVER}limits.cpu=20,pods=1, used: limits.cpu=0,pods=0, limited: limits.cpu=8,pods=5",
        f"{OVER}limits.cpu=9k, used: limits.cpu=100m, limited: limits.cpu=4",
    ],
)
def test_amounts_that_are_never_admitted_are_the_builders(said: str) -> None:
    result = refused(BUILDER, INJECTION, errors.Forbidden(f"POST …: {said} (403)"))

    assert result is not None
    assert not result.served
    assert finding(result).reason is Reason.PODS_REFUSED
    assert "Set spec.resources to what the namespace takes" in finding(result).message


@pytest.mark.parametrize(
    "said",
    [
        f"{QUOTA}istio-proxy",
        f"{RANGE}maximum memory usage per Pod is 1Gi, but limit is 2Gi",
        f"{RANGE}minimum memory usage per Pod is 1Gi, but request is 64Mi",
        f"{OVER}limits.cpu=8, used: limits.cpu=0, limited: limits.cpu=4",
        f"{OVER}limits.cpu=2, used: limits.cpu=3, limited: limits.cpu=4",
        f"{OVER}pods=1, used: pods=0, limited: pods=0",
    ],
)
def test_amounts_that_may_be_admitted_another_time_are_told_beside(said: str) -> None:
    error = errors.Forbidden(f"POST …: {said} (403)")

    assert refused(BUILDER, INJECTION, error) is None
    if "istio" not in said:
        assert compared(BUILDER, error, None).served


# Connectors

SHARED = make_builder()
READY = [make_deployment(total=1, ready=1)]
CONNECTOR = injection_of(SHARED)


def test_a_shared_builder_needs_no_engine() -> None:
    assert admitted(SHARED, CONNECTOR, {"metadata": {}, "spec": {}}) == SERVED


def test_an_engine_that_refuses_may_not_have_heard_of_a_shared_builder_yet() -> None:
    error = errors.Invalid("POST …: ValidatingAdmissionPolicy 'buildkit-operator-pods' denied request: … (422)")

    assert refused(SHARED, CONNECTOR, error) == ProbeResult(served=True, is_current=False)


def test_a_connector_that_a_quota_never_admits_is_no_service() -> None:
    result = refused(SHARED, CONNECTOR, errors.Forbidden(f"{QUOTA}buildkit-connector (403)"))

    assert result is not None
    assert not result.served
    assert "Set spec.injection.connector.resources to what" in finding(result).message
    assert judge(SHARED, DaemonsObserved(READY, probe=result)).reason is Reason.PODS_REFUSED
    assert judge(SHARED, DaemonsObserved(READY, probe=SERVED)).ready


def test_what_could_not_be_tried_is_told_beside_daemons_that_are_ready() -> None:
    result = compared(SHARED, errors.Forbidden(POLICY), errors.Forbidden(POLICY))
    verdict = judge(SHARED, DaemonsObserved(READY, probe=result))

    assert verdict.ready
    assert f"A probe pod was refused, though: {POLICY}" in verdict.message


# What is tried


def test_the_pod_that_is_tried_is_as_real_ones_are() -> None:
    builder = make_builder(
        shared={"pod": {"labels": {"team": "ci"}}},
        injection={
            "containers": ["build"],
            "podSelector": {"matchLabels": {"runner": "fast"}},
            "connector": {"resources": {"limits": {"cpu": "1", "memory": "64Mi"}}},
        },
    )
    rendered = injection_of(builder)
    tried, control = probe_pod(builder, rendered), control_pod(builder, rendered)

    labels = control["metadata"]["labels"]
    assert labels["team"] == "ci"
    assert "runner" not in labels
    assert tried["metadata"]["labels"] == labels | {"runner": "fast", "buildkit-operator.dev/builder": "demo"}
    assert control["spec"]["containers"][0]["imagePullPolicy"] == "Always"
    assert set(control["spec"]["containers"][0]["resources"]["limits"]) == {"cpu", "memory", "ephemeral-storage"}
    job, connector = tried["spec"]["containers"][0], rendered["initContainers"][0]
    assert job["name"] == "build"
    assert job["resources"] == connector["resources"] == {"limits": {"cpu": "1", "memory": "64Mi"}}
    assert job["image"] == connector["image"]
