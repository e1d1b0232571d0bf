"""What `status` makes of live builders."""

from typing import Any

import pytest

from buildkit_operator.api.reasons import UNKNOWN, Reason, row
from buildkit_operator.cli import status_command
from buildkit_operator.cli.summary import NO_OPERATOR, NOT_LOOKED_AT, summarize
from buildkit_operator.kube.resources import Manifest
from tests.unit.cli.cluster_states import live, ready
from tests.unit.make import NOW


@pytest.mark.parametrize(
    ("said", "is_well"),
    [
        (ready(), True),
        (ready("False", "Suspended"), True),
        (ready("True", "Suspended"), True),
        (ready("True", "ScaledToZero"), True),
        (ready("False", "Progressing"), False),
        (ready("False", "PodSecurityDenied"), False),
        (ready() | {"observedGeneration": 0}, False),
        (ready("False", "Suspended") | {"observedGeneration": 0}, False),
        ({"observedGeneration": -1}, False),
        ({}, False),
    ],
)
def test_a_builder_is_well_when_nothing_is_to_be_done(said: Manifest, *, is_well: bool) -> None:
    summary = summarize(live(status=said))

    assert summary.is_well is is_well
    assert bool(summary.remedy) is not is_well


def test_what_is_not_well_has_the_reasons_remedy_and_page() -> None:
    summary = summarize(live(status=ready("False", "NameConflict")))

    assert summary.remedy == row(Reason.NAME_CONFLICT).remedy
    assert summary.page == "https://docs.unreleased.invalid/reasons/NameConflict/"


def test_a_reason_of_a_newer_operator_is_shown_all_the_same() -> None:
    assert summarize(live(status=ready("False", "Novel"))).remedy == UNKNOWN.remedy


def test_a_builder_that_nobody_has_looked_at_says_so() -> None:
    summary = summarize(live(status={"observedGeneration": -1}))

    assert (summary.ready, summary.reason, summary.since, summary.message) == ("Unknown", "", None, NOT_LOOKED_AT)
    assert summary.remedy == NO_OPERATOR
    assert summary.page == ""


def test_what_is_said_of_an_earlier_spec_is_said_to_be() -> None:
    summary = summarize(live(status=ready() | {"observedGeneration": 0}))

    assert summary.ready == "True"
    assert summary.message.startswith("The operator has not looked at the last change yet.")
    assert summary.message.endswith("1 of 1 daemon ready.")


@pytest.mark.parametrize(
    ("spec", "daemons"),
    [
        ({}, (2, 1)),
        ({"shared": {"replicas": 3}}, (2, 3)),
        ({"shared": {"replicas": 0}}, (2, 0)),
        ({"shared": {"from": {"namespace": "a", "name": "b"}}}, None),
        ({"mode": "Sidecar"}, None),
    ],
)
def test_daemons_are_counted_where_a_builder_has_its_own(spec: Manifest, daemons: tuple[int, int] | None) -> None:
    summary = summarize(live(status=ready() | {"readyReplicas": 2}, **spec))

    assert summary.daemons == daemons


def test_every_key_is_there_for_programs_whatever_is_known() -> None:
    known = summarize(
        live(status=ready("False", "Evicted") | {"endpoint": "tcp://x:1", "pods": {"injected": 3}})
    ).document()
    unknown = summarize(live(mode="Sidecar", status={})).document()

    assert list(known) == list(unknown)
    assert known["pods"] == 3
    assert known["since"] == "2026-11-24T11:00:00Z"
    assert {key for key, value in unknown.items() if value is None} == {
        "reason",
        "since",
        "endpoint",
        "readyReplicas",
        "replicas",
        "page",
    }


def test_a_spec_that_this_version_does_not_understand_is_no_obstacle() -> None:
    odd: dict[str, Any] = {"mode": "Novel", "shared": None}

    assert summarize(live(**odd)).mode == "Novel"


def test_remedies_stand_below_the_table() -> None:
    ailing = live("broken", mode="Sidecar", status=ready("False", "InjectionNotServed", "No engine."))

    assert status_command.show(
        [summarize(ailing), summarize(live(status=ready(message="Well.")))], NOW
    ).splitlines() == [
        "NAMESPACE   NAME     MODE      READY   REASON               SINCE   ENDPOINT   REPLICAS   PODS   MESSAGE",
        "ci          broken   Sidecar   False   InjectionNotServed   60m                           0      No engine.",
        "ci          demo     Shared    True    Available            60m                0/1        0      Well.",
        "",
        f"ci/broken: {row(Reason.INJECTION_NOT_SERVED).remedy}",
        "    https://docs.unreleased.invalid/reasons/InjectionNotServed/",
    ]
