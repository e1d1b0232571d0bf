"""Variables of the daemon: a proxy is never asked for what is in the cluster, and what a step prints is not cut."""

from typing import Any

import pytest

from buildkit_operator.desired.environment import leaves_cluster_to_proxy, render
from buildkit_operator.kube.resources import Manifest
from tests.unit.make import make_builder

PROXY = {"name": "HTTPS_PROXY", "value": "http://proxy.example.com:3128"}
OURS = "localhost,127.0.0.1,.svc,.svc.k8s.example.org"
ELSEWHERE = {"valueFrom": {"configMapKeyRef": {"name": "proxies", "key": "none", "optional": True}}}


SIZE, SPEED = "BUILDKIT_STEP_LOG_MAX_SIZE", "BUILDKIT_STEP_LOG_MAX_SPEED"


def everything(*env: Manifest) -> dict[str, Any]:
    rendered = render(make_builder(env=list(env)), "k8s.example.org")
    assert len({variable["name"] for variable in rendered}) == len(rendered)
    return {variable["name"]: variable.get("value") for variable in rendered}


def variables(*env: Manifest) -> dict[str, Any]:
    """Return the variables but those of step logs, which are always there."""
    return {name: value for name, value in everything(*env).items() if name not in (SIZE, SPEED)}


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"])
@pytest.mark.parametrize("proxy", [{"value": "http://proxy"}, ELSEWHERE])
def test_with_a_proxy_the_cluster_is_excepted(name: str, proxy: Manifest) -> None:
    assert variables({"name": name, **proxy})["NO_PROXY"] == OURS


@pytest.mark.parametrize(
    "env", [[], [{"name": "HTTPS_PROXY", "value": ""}], [{"name": "NO_PROXY", "value": "a"}], [{"name": "A"}]]
)
def test_without_a_proxy_nothing_is_added(env: list[Manifest]) -> None:
    assert variables(*env) == {variable["name"]: variable.get("value", "") for variable in env}


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy", "No_Proxy"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("example.com, 10.0.0.0/8", f"example.com, 10.0.0.0/8,{OURS}"),
        (".svc , localhost", ".svc , localhost,127.0.0.1,.svc.k8s.example.org"),
        (OURS, OURS),
        ("$(INTERNAL)", f"$(INTERNAL),{OURS}"),
        ("*", "*"),
    ],
)
def test_a_list_keeps_its_words_and_gets_what_is_missing(name: str, given: str, expected: str) -> None:
    assert variables(PROXY, {"name": name, "value": given}) == {"HTTPS_PROXY": PROXY["value"], name: expected}


def test_both_spellings_are_extended() -> None:
    found = variables(PROXY, {"name": "NO_PROXY", "value": "a"}, {"name": "no_proxy", "value": "b"})

    assert (found["NO_PROXY"], found["no_proxy"]) == (f"a,{OURS}", f"b,{OURS}")


@pytest.mark.parametrize(("empty", "full"), [("NO_PROXY", "no_proxy"), ("no_proxy", "NO_PROXY")])
def test_an_empty_list_does_not_hide_the_other_spelling(empty: str, full: str) -> None:
    found = variables(PROXY, {"name": empty, "value": ""}, {"name": full, "value": "a"})

    assert empty not in found
    assert found[full] == f"a,{OURS}"


def test_an_empty_list_alone_is_filled() -> None:
    assert variables(PROXY, {"name": "no_proxy", "value": ""})["NO_PROXY"] == OURS


def test_a_list_from_elsewhere_stays_and_is_told() -> None:
    env = [PROXY, {"name": "NO_PROXY", **ELSEWHERE}]

    assert render(make_builder(env=env), "cluster.local")[:2] == env
    assert leaves_cluster_to_proxy(make_builder(env=env))


@pytest.mark.parametrize(
    "env", [[{"name": "NO_PROXY", **ELSEWHERE}], [PROXY], [PROXY, {"name": "NO_PROXY", "value": "a"}]]
)
def test_nothing_is_told_where_nothing_can_be_missing(env: list[Manifest]) -> None:
    assert not leaves_cluster_to_proxy(make_builder(env=env))


def test_the_order_stays_as_variables_may_refer_to_earlier_ones() -> None:
    env = [{"name": "INTERNAL", "value": "a"}, {"name": "NO_PROXY", "value": "$(INTERNAL)"}, PROXY]

    assert list(variables(*env)) == ["INTERNAL", "NO_PROXY", "HTTPS_PROXY"]


# Step logs


def test_what_a_step_prints_is_not_cut() -> None:
    assert everything() == {SIZE: "-1", SPEED: "-1"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({SIZE: "1000000"}, {SIZE: "1000000", SPEED: "-1"}),
        # BuildKit heeds no speed where the size is without a limit.
        ({SPEED: "1000000"}, {SIZE: "2147483647", SPEED: "1000000"}),
        ({SIZE: "5000000", SPEED: "1000000"}, {SIZE: "5000000", SPEED: "1000000"}),
    ],
)
def test_a_limit_of_the_users_holds(given: dict[str, str], expected: dict[str, str]) -> None:
    assert everything(*({"name": name, "value": value} for name, value in given.items())) == expected
