"""Who admits whom, told from two specs and a namespace's labels."""

from typing import Any

import pytest

from buildkit_operator.api.builder import Role
from buildkit_operator.api.reasons import Reason, TerminalError
from buildkit_operator.desired.consumers import admits, admits_by_labels, granting_provider
from tests.unit.make import make_builder

CONSUMER = make_builder("team", shared={"from": {"namespace": "ci", "name": "demo"}})


def provider(**shared: Any) -> Any:
    return make_builder(shared=shared)


def by_labels(*expressions: Any, **labels: str) -> Any:
    return provider(allowedNamespaces={"selector": {"matchLabels": labels, "matchExpressions": list(expressions)}})


def expression(operator: str, *values: str) -> Any:
    return {"key": "tier", "operator": operator, "values": list(values)}


@pytest.mark.parametrize(
    ("builder", "labels", "admitted"),
    [
        (provider(), {}, False),
        (provider(allowedNamespaces={}), {}, False),
        (provider(allowedNamespaces={"names": ["team-a"]}), {}, True),
        (provider(allowedNamespaces={"names": ["team-b"]}), {}, False),
        (by_labels(team="a"), {"team": "a", "more": "x"}, True),
        (by_labels(team="a"), {"team": "b"}, False),
        (by_labels(team="a"), {}, False),
        # What the definition does not let through admits nobody all the same.
        (by_labels(), {"team": "a"}, False),
        (by_labels(expression("In", "gold", "silver")), {"tier": "gold"}, True),
        (by_labels(expression("In", "gold")), {}, False),
        (by_labels(expression("NotIn", "gold")), {"tier": "tin"}, True),
        (by_labels(expression("NotIn", "gold")), {"tier": "gold"}, False),
        (by_labels(expression("NotIn", "gold")), {}, True),
        (by_labels(expression("Exists")), {"tier": ""}, True),
        (by_labels(expression("Exists")), {}, False),
        (by_labels(expression("DoesNotExist")), {}, True),
        (by_labels(expression("DoesNotExist")), {"tier": "gold"}, False),
        (by_labels(expression("Exists"), expression("NotIn", "gold")), {"tier": "gold"}, False),
        (by_labels(expression("Exists"), team="a"), {"tier": "gold"}, False),
    ],
)
def test_admission(builder: Any, labels: dict[str, str], admitted: bool) -> None:  # noqa: FBT001  a table's column
    assert admits(builder, "team-a", labels) == admitted


def test_a_name_is_enough_beside_a_selector() -> None:
    builder = provider(allowedNamespaces={"names": ["team-a"], "selector": {"matchLabels": {"team": "b"}}})

    assert admits(builder, "team-a", {})
    assert admits(builder, "other", {"team": "b"})
    assert not admits(builder, "other", {})


def test_without_an_authority_of_its_own_a_builder_admits_nobody() -> None:
    assert not admits(provider(allowedNamespaces={"names": ["team-a"]}, tls={"mode": "Disabled"}), "team-a", {})


def test_labels_are_asked_for_only_where_they_decide() -> None:
    assert admits_by_labels(by_labels(team="a"))
    assert not admits_by_labels(provider(allowedNamespaces={"names": ["team-a"]}))
    assert not admits_by_labels(provider())


def test_a_consumer_is_one_that_names_a_provider() -> None:
    assert CONSUMER.role is Role.CONSUMER
    assert provider().role is Role.DAEMONS
    assert make_builder(mode="Sidecar").role is Role.SIDECAR


ADMITTING = provider(allowedNamespaces={"names": ["ci"]})


@pytest.mark.parametrize(
    ("found", "watched", "reason"),
    [
        (ADMITTING, ("elsewhere",), Reason.PROVIDER_NOT_WATCHED),
        (None, (), Reason.NOT_ADMITTED),
        (make_builder(mode="Sidecar"), (), Reason.NOT_ADMITTED),
        (CONSUMER, (), Reason.NOT_ADMITTED),
        (provider(), (), Reason.NOT_ADMITTED),
    ],
)
def test_refusals(found: Any, watched: tuple[str, ...], reason: Reason) -> None:
    with pytest.raises(TerminalError) as refused:
        granting_provider(CONSUMER, found, {}, watched)

    assert refused.value.reason == reason
    assert refused.value.message.startswith("Builder demo of namespace ci, which spec.shared.from names,")


def test_a_refusal_does_not_tell_what_there_is() -> None:
    said = set()
    for found in (None, make_builder(mode="Sidecar"), CONSUMER, provider()):
        with pytest.raises(TerminalError) as refused:
            granting_provider(CONSUMER, found, {}, ())
        said.add(refused.value.message)

    assert len(said) == 1


@pytest.mark.parametrize("watched", [(), ("ci",), ("ci", "other")])
def test_an_admitted_consumer_gets_its_provider(watched: tuple[str, ...]) -> None:
    assert granting_provider(CONSUMER, ADMITTING, {}, watched) == ADMITTING
