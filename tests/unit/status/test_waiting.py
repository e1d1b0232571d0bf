"""Whoever waits for a builder learns whether that is of use: what is not ready is either reconciling or stalled."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.desired.consumers import Grant
from buildkit_operator.status import (
    ConsumerObserved,
    DaemonsObserved,
    Observed,
    Pending,
    ProbeResult,
    SidecarObserved,
    judge,
    nothing_observed,
)
from buildkit_operator.status.diagnosis.daemons import Finding
from tests.unit.make import FAKE_CERTIFICATES, NOW, make_builder, make_deployment

CONSUMER: Mapping[str, Any] = {"shared": {"from": {"namespace": "ci", "name": "demo"}}}


def grant(*conditions: dict[str, str]) -> Observed:
    status = {"conditions": list(conditions)}
    return ConsumerObserved(
        grant=Grant(make_builder(), status, b"", FAKE_CERTIFICATES.client, NOW + timedelta(hours=1))
    )


def unready(reason: Reason) -> dict[str, str]:
    return {"type": "Ready", "status": "False", "reason": reason, "message": "A sentence."}


def seen(reason: Reason) -> Iterator[tuple[Observed, Mapping[str, Any]]]:
    """Yield all that may be seen of a builder in connection with a reason, and what the builder asks for."""
    finding = Finding(reason, "A sentence.")
    specs: tuple[Mapping[str, Any], ...] = ({}, {"mode": "Sidecar"}, CONSUMER)
    for spec in specs:
        nothing = nothing_observed(make_builder(**spec).role)
        yield replace(nothing, blocked=TerminalError(reason, "A sentence.")), spec
        yield replace(nothing, blocked=Pending(reason, "A sentence.")), spec
        yield nothing, spec
    yield DaemonsObserved([make_deployment(total=0)]), {}
    yield DaemonsObserved([make_deployment()]), {}
    yield SidecarObserved(probe=ProbeResult(served=False, finding=finding)), {"mode": "Sidecar"}
    yield grant(), CONSUMER
    yield grant(unready(reason)), CONSUMER
    for kind in ("Stalled", "Reconciling"):
        yield grant(unready(reason), {"type": kind, "status": "True"}), CONSUMER


@pytest.mark.parametrize("suspend", [False, True])
@pytest.mark.parametrize("reason", Reason)
def test_what_is_not_ready_is_reconciling_or_stalled(reason: Reason, *, suspend: bool) -> None:
    for observed, spec in seen(reason):
        verdict = judge(make_builder(**spec, suspend=suspend), observed)

        assert not verdict.ready
        assert (verdict.reconciling is not None) != verdict.stalled, (observed, spec)
