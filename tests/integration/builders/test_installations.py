"""Two installations of the operator that serve the same builders: one is in charge, the other says that it stands back.

Each has images of its own, so that any quarrel would show in the Deployments.
"""

import time
from collections.abc import Callable
from typing import Any, Final

import pytest

from buildkit_operator.controller import installations
from hack.cluster.controlplane import ControlPlane
from tests.integration.builders.builder_namespace import Builders
from tests.integration.builders.builder_operator import BuilderOperator
from tests.integration.builders.conftest import StartOperator

RENEWALS: Final = 10.0
"""Seconds in which a leader renews its Lease once or twice, and a quarrel would have begun."""
TAKEOVER: Final = installations.GONE_SECONDS + 30
NAMES: Final = tuple(f"demo-{number}" for number in range(10))

Install = Callable[..., BuilderOperator]


@pytest.fixture
def control_plane(start_control_plane: Callable[..., ControlPlane]) -> ControlPlane:
    return start_control_plane()


@pytest.fixture
def builders(control_plane: ControlPlane) -> Builders:
    return namespace(control_plane, "team-a")


@pytest.fixture
def install(control_plane: ControlPlane, start_operator: StartOperator) -> Install:
    """Return a function that starts an installation in a namespace of its own."""

    def start(name: str, **settings: object) -> BuilderOperator:
        if name not in {"one", "two"}:
            raise ValueError(name)
        control_plane.kubectl(
            "apply", "--filename=-", text=f"{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}}}}}"
        )
        images = {"buildkit_image": f"registry.example/{name}"}
        return start_operator(
            control_plane,
            lease=True,
            lease_namespace=name,
            identity=f"{name}-pod",
            resync_seconds=2,
            **images,
            **settings,
        )

    return start


def namespace(control_plane: ControlPlane, name: str) -> Builders:
    control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return Builders(control_plane, name)


def in_charge(builders: Builders, name: str = "demo") -> str | None:
    manager: str | None = ((builders.get("buildkitbuilders", name) or {}).get("status") or {}).get("managedBy")
    return manager


def image(builders: Builders, name: str = "demo") -> str:
    found: str = builders.deployment(name)["spec"]["template"]["spec"]["containers"][0]["image"]
    return found


def wait_in_charge(builders: Builders, installation: str, name: str = "demo", seconds: float = 60) -> None:
    builders.wait(
        f"{installation} to be in charge",
        lambda: (
            in_charge(builders, name) == f"{installation}/buildkit-operator"
            and image(builders, name) == f"registry.example/{installation}"
        ),
        seconds=seconds,
    )


def events(builders: Builders) -> list[Any]:
    found = builders.control_plane.request("GET", f"/api/v1/namespaces/{builders.namespace}/events")["items"]
    return [event for event in found if event["reason"] == "ManagedElsewhere"]


def writes(builders: Builders, mark: int) -> list[Any]:
    requests = builders.control_plane.audit(mark)
    return [r for r in requests if r.writes and r.user_agent.startswith("buildkit") and r.resource != "leases"]


def assert_rest(builders: Builders) -> None:
    """Assert that nothing but Leases is written for a while."""
    mark = builders.control_plane.mark()
    time.sleep(RENEWALS)
    assert writes(builders, mark) == []


def test_the_second_stands_back_and_takes_over_when_the_first_is_gone(builders: Builders, install: Install) -> None:
    first = install("one")
    builders.create()
    wait_in_charge(builders, "one")

    second = install("two")
    builders.wait("it is told", lambda: events(builders))
    assert_rest(builders)
    assert image(builders) == "registry.example/one"
    (event,) = events(builders)
    assert (
        "Installation two/buildkit-operator of the operator leaves this builder to one/buildkit-operator"
        in event["message"]
    )
    assert "leaves this builder to one/buildkit-operator" in second.log.read_text()
    assert second.metric("buildkit_operator_builders_of_others") == 1
    assert first.metric("buildkit_operator_builders_of_others") == 0

    first.terminate()  # as an uninstallation does; its Lease stays behind
    first.wait()
    wait_in_charge(builders, "two", seconds=TAKEOVER)

    # And when it comes back, it is the second one.
    again = install("one")
    builders.wait("it is told", lambda: len(events(builders)) == 2)
    assert again.metric("buildkit_operator_builders_of_others") == 1
    assert_rest(builders)


def test_of_two_that_meet_new_builders_one_is_in_charge_of_each(builders: Builders, install: Install) -> None:
    both = [install("one"), install("two")]
    for name in NAMES:
        builders.create(name)

    def settled() -> bool:
        others = sum(operator.metric("buildkit_operator_builders_of_others") for operator in both)
        return others == len(NAMES) and all(
            image(builders, name) == f"registry.example/{(in_charge(builders, name) or '').partition('/')[0]}"
            for name in NAMES
        )

    builders.wait("one in charge of each", settled, seconds=60)
    time.sleep(RENEWALS)  # in which the one in charge mends what the other one wrote before it knew
    assert_rest(builders)
    assert settled()


def test_one_that_no_longer_serves_a_namespace_gives_it_up(builders: Builders, install: Install) -> None:
    first = install("one", watch_namespaces="team-a")
    builders.create()
    wait_in_charge(builders, "one")
    second = install("two")
    second.wait_until(lambda: second.metric("buildkit_operator_builders_of_others") == 1, 20)

    first.terminate()
    first.wait()
    install("one", watch_namespaces="team-b")

    wait_in_charge(builders, "two", seconds=TAKEOVER)


def test_each_serves_its_own_namespaces_without_a_word(builders: Builders, install: Install) -> None:
    others = namespace(builders.control_plane, "team-b")
    install("one", watch_namespaces="team-a")
    install("two", watch_namespaces="team-b")
    builders.create()
    others.create()

    wait_in_charge(builders, "one")
    wait_in_charge(others, "two")
    assert events(builders) == events(others) == []


CLAIMS: Final = ("nonsense", "../../kube-system/secrets", "a/b/c", "gone/buildkit-operator")


def test_a_claim_of_nobody_is_taken_over(builders: Builders, install: Install) -> None:
    # At once, as each is waited for.
    for name, claim in zip(NAMES, CLAIMS, strict=False):
        builders.create(name)
        path = f"{builders.path('buildkitbuilders')}/{name}/status"
        builders.control_plane.request("PATCH", path, {"status": {"managedBy": claim}})

    install("one")

    for name, _ in zip(NAMES, CLAIMS, strict=False):
        wait_in_charge(builders, "one", name, seconds=TAKEOVER)
