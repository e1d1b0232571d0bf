"""What becomes of a builder whose reconcile fails, in whichever way: it has a status, and others go on."""

from datetime import timedelta
from typing import cast

import pytest

from buildkit_operator.api import names
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.controller.builders import Builders
from buildkit_operator.controller.installations import Installations
from buildkit_operator.controller.modes import Modes, Parts
from buildkit_operator.controller.ownership import PreviousOwnerTerminating
from buildkit_operator.controller.reconcile import (
    ATTEMPTS_UNSEEN,
    ATTEMPTS_UNTOLD,
    PREVIOUS_OWNER_LIMIT,
    BuilderReconciler,
    left_over,
)
from buildkit_operator.controller.status_writer import REFUSED_INTERVAL, StatusWriter
from buildkit_operator.controller.watched import BUILDERS
from buildkit_operator.engine.cache import Cache
from buildkit_operator.engine.events import EventRecorder
from buildkit_operator.engine.leader_election import NotLeader
from buildkit_operator.kube import errors
from buildkit_operator.kube.client import Client
from buildkit_operator.kube.manifests import condition
from buildkit_operator.kube.resources import Key, Manifest
from buildkit_operator.status import Observed, Pending, SidecarObserved
from tests.unit.make import NOW, make_resource

KEY: Key = ("ci", "demo")
SERVED: Manifest = {"initContainers": [{"name": "buildkitd", "image": "example.com/buildkit:1"}], "volumes": []}
TOO_LARGE = errors.Invalid("PATCH …: etcdserver: request is too large (500)", status=500)


class Cluster:
    """One builder, what comes of its reconcile, and an API server that takes statuses of a size."""

    def __init__(self) -> None:
        self.outcome: Exception | Observed = SidecarObserved(injection=SERVED)
        self.longest = 10**9
        self.refusal: errors.ApiError = TOO_LARGE
        self.written: list[Manifest] = []
        self.told: list[str] = []
        self.cache = Cache(BUILDERS)
        self.version = 7
        self.cache.put(names.BUILDER, make_resource(mode="Sidecar"))
        writer = StatusWriter(
            cast("Client", self), cast("EventRecorder", self), cast("Installations", self), lambda: NOW
        )
        parts, modes = cast("Parts", self), cast("Modes", self)
        self.reconciler = BuilderReconciler(
            Builders(self.cache, cast("Client", self)), cast("EventRecorder", self), writer, parts, modes, lambda: NOW
        )

    # The parts, the modes and a mode, as far as anybody asks

    pods = probe = apply_set = autoscaler = property(lambda self: self)

    def of(self, _builder: object) -> "Cluster":
        return self

    own = "buildkit-operator/buildkit-operator"

    async def in_charge(self, _resource: Manifest) -> str | None:
        return None

    def runners(self, _builder: object) -> list[Manifest]:
        return []

    async def scaling(self, _builder: object, _previous: object) -> None:
        return None

    def requeue_after(self, _builder: object) -> float | None:
        return None

    async def picks_pods(self, _builder: object) -> bool | None:
        return None

    def forget(self, *_key: str) -> None: ...

    def forget_secrets(self, _builder: object) -> None: ...

    async def observe(self, _builder: object) -> Observed:
        return SidecarObserved()

    async def reconcile(self, _builder: object, _previous: object) -> Observed:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    # The client and the recorder

    def event(self, _regarding: Manifest, _type: str, reason: str, note: str, action: str) -> None:  # noqa: ARG002  the recorder's
        self.told.append(f"{reason} {note}")

    async def apply_status(self, manifest: Manifest) -> Manifest:
        if len(str(manifest["status"])) > self.longest:
            raise self.refusal
        self.written.append(manifest["status"])
        self.version += 1
        known = self.cache.get(names.BUILDER, *KEY)
        assert known is not None
        known["metadata"]["resourceVersion"] = str(self.version)
        self.cache.put(names.BUILDER, {**known, "status": manifest["status"]})
        return known


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


def ready(cluster: Cluster) -> Manifest:
    return condition({"status": cluster.written[-1]}, "Ready")


async def fail(cluster: Cluster, error: Exception, times: int = 1) -> None:
    cluster.outcome = error
    for _ in range(times):
        with pytest.raises(type(error)):
            await cluster.reconciler(KEY)


async def test_a_mistake_of_the_operator_is_a_status_and_tried_again(cluster: Cluster) -> None:
    await fail(cluster, KeyError("a password"))

    (status,) = cluster.written
    assert status["observedGeneration"] == 1
    assert ready(cluster)["reason"] == Reason.RECONCILE_FAILED
    assert "KeyError" in ready(cluster)["message"]
    assert "a password" not in str(cluster.written)
    assert condition({"status": status}, "Stalled")["status"] == "True"

    cluster.outcome = SidecarObserved(injection=SERVED)
    await cluster.reconciler(KEY)
    assert ready(cluster)["reason"] == Reason.PROGRESSING


async def test_what_was_told_stays_while_the_operator_is_wrong(cluster: Cluster) -> None:
    await cluster.reconciler(KEY)
    await fail(cluster, RecursionError())

    assert cluster.written[-1]["injection"] == SERVED


@pytest.mark.parametrize(
    "error",
    [
        errors.Forbidden("GET /secrets/x: no (403)", missing_right="get secrets in namespace ci"),
        errors.Invalid("PATCH …: bad (400)"),
        errors.NotFound("PATCH …: no such namespace (404)"),
        errors.ApiError("GET …: not acceptable (406)", status=406),
        TOO_LARGE,
    ],
)
async def test_what_the_api_server_refuses_for_good_is_a_status_at_once(
    cluster: Cluster, error: errors.ApiError
) -> None:
    cluster.outcome = error

    await cluster.reconciler(KEY)

    assert ready(cluster)["reason"] == Reason.REJECTED
    assert (getattr(error, "missing_right", None) or str(error)) in ready(cluster)["message"]


@pytest.mark.parametrize("error", [errors.Unavailable("PATCH …: failed calling webhook (500)"), errors.Conflict("409")])
async def test_what_passes_is_told_when_it_does_not(cluster: Cluster, error: errors.ApiError) -> None:
    await fail(cluster, error, ATTEMPTS_UNSEEN - 1)
    assert cluster.written == []

    await fail(cluster, error)
    assert (ready(cluster)["status"], ready(cluster)["reason"]) == ("False", Reason.PROGRESSING)
    assert str(error) in ready(cluster)["message"]


async def test_what_passes_leaves_the_verdict_of_before_beside_it(cluster: Cluster) -> None:
    await cluster.reconciler(KEY)
    before = ready(cluster)
    await fail(cluster, errors.Unavailable("away"), ATTEMPTS_UNTOLD - 1)
    assert len(cluster.written) == 1

    await fail(cluster, errors.Unavailable("away"))
    assert ready(cluster) == before
    assert "away" in condition({"status": cluster.written[-1]}, "Reconciling")["message"]


async def test_who_leads_no_more_says_nothing(cluster: Cluster) -> None:
    await fail(cluster, NotLeader(), ATTEMPTS_UNTOLD)

    assert cluster.written == []


# A status that is not taken


async def test_a_status_that_is_too_large_is_written_without_what_makes_it_so(cluster: Cluster) -> None:
    large: Manifest = {**SERVED, "env": [{"name": "X", "value": "x" * 5000}]}
    cluster.outcome, cluster.longest = SidecarObserved(injection=large), 5000

    assert await cluster.reconciler(KEY) == REFUSED_INTERVAL
    assert ready(cluster)["reason"] == Reason.REJECTED
    assert "request is too large" in ready(cluster)["message"]
    assert cluster.written[-1]["observedGeneration"] == 1
    assert "injection" not in cluster.written[-1]

    assert await cluster.reconciler(KEY) == REFUSED_INTERVAL
    assert len(cluster.written) == 1, "what is so already is not written again"


async def test_what_pods_get_stays_where_a_larger_status_is_not_taken(cluster: Cluster) -> None:
    await cluster.reconciler(KEY)
    cluster.outcome = SidecarObserved(injection={**SERVED, "env": [{"name": "X", "value": "x" * 5000}]})
    cluster.longest = 5000

    await cluster.reconciler(KEY)
    assert cluster.written[-1]["injection"] == SERVED


async def test_a_status_that_may_not_be_written_at_all_is_told_in_an_event(cluster: Cluster) -> None:
    cluster.longest, cluster.refusal = 0, errors.Forbidden("no", missing_right="patch buildkitbuilders/status")

    with pytest.raises(errors.Forbidden):
        await cluster.reconciler(KEY)

    assert any("may not patch buildkitbuilders/status" in note for note in cluster.told)


# Leftovers


def test_what_a_deleted_builder_has_left_is_waited_for_within_bounds() -> None:
    builder = {"metadata": {"creationTimestamp": NOW.isoformat()}}
    leftover = PreviousOwnerTerminating("Service demo belongs to a deleted builder of the same name.")

    assert isinstance(left_over(leftover, builder, NOW + timedelta(seconds=1)), Pending)
    late = left_over(leftover, builder, NOW + PREVIOUS_OWNER_LIMIT)
    assert isinstance(late, TerminalError)
    assert late.reason is Reason.NAME_CONFLICT
