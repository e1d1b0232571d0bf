"""Which namespaces are meant."""

import argparse
from pathlib import Path

import pytest

from buildkit_operator.__main__ import parser
from buildkit_operator.cli.session import CannotAsk, Scope, scope_of
from buildkit_operator.kube.auth import Connection, KubeConfig, TokenFile
from buildkit_operator.settings import SettingsError

USERS = KubeConfig("kubeconfig")
POD = TokenFile(Path("token"))


def options(*arguments: str) -> argparse.Namespace:
    return parser().parse_args(["doctor", *arguments])


@pytest.mark.parametrize(
    ("arguments", "connection", "environment", "expected"),
    [
        ([], Connection("", USERS), {}, Scope(("default",))),
        ([], Connection("", USERS, namespace="team"), {}, Scope(("team",))),
        (["-n", "ci"], Connection("", USERS, namespace="team"), {}, Scope(("ci",))),
        (["-A"], Connection("", USERS, namespace="team"), {}, Scope()),
        ([], Connection("", POD), {}, Scope()),
        ([], Connection("", POD), {"BUILDKIT_OPERATOR_WATCH_NAMESPACES": "a, b"}, Scope(("a", "b"))),
        ([], Connection("", USERS), {"BUILDKIT_OPERATOR_WATCH_NAMESPACES": "a"}, Scope(("default",))),
        (["-n", "ci"], Connection("", POD), {"BUILDKIT_OPERATOR_WATCH_NAMESPACES": "a"}, Scope(("ci",))),
    ],
)
def test_namespaces_are_chosen_as_kubectl_does_and_in_a_pod_as_its_operator_does(
    arguments: list[str], connection: Connection, environment: dict[str, str], expected: Scope
) -> None:
    assert scope_of(options(*arguments), connection, environment) == expected


def test_a_context_without_a_kubeconfig_is_no_choice() -> None:
    with pytest.raises(CannotAsk, match="--context"):
        scope_of(options("--context", "c"), Connection("", POD), {})


def test_settings_that_are_wrong_are_told() -> None:
    with pytest.raises(SettingsError, match="LOG_LEVEL"):
        scope_of(options(), Connection("", POD), {"BUILDKIT_OPERATOR_LOG_LEVEL": "loud"})


@pytest.mark.parametrize(
    ("scope", "text"),
    [(Scope(), "all namespaces"), (Scope(("a",)), "namespace a"), (Scope(("a", "b")), "namespaces a, b")],
)
def test_a_scope_is_named_in_a_sentence(scope: Scope, text: str) -> None:
    assert str(scope) == text


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon", ""])
def test_a_timeout_is_a_number_of_seconds(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        options("--request-timeout", seconds)

    assert ended.value.code == 2
    assert "not a number of seconds above 0" in capsys.readouterr().err


def test_a_timeout_may_be_written_as_kubectl_writes_it() -> None:
    assert options("--request-timeout", "2.5s").request_timeout == 2.5
