"""The plugin for krew: which pod it asks, by which kubeconfig, and about which namespace."""

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

PLUGIN: Final = Path(__file__).parents[2] / "deploy/krew/kubectl-buildkit"
EXEC: Final = "exec --namespace=buildkit-operator deployment/buildkit-operator -- buildkit-operator"


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """Put a kubectl first in PATH that notes its arguments and has namespace team-a in its context."""
    program, noted = tmp_path / "kubectl", tmp_path / "calls"
    program.write_text(f'#!/bin/sh\necho "$@" >> {noted}\ncase "$*" in *config*) printf team-a ;; esac\n')
    program.chmod(0o755)
    return noted


def run(calls: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = f"{calls.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, **variables}
    return subprocess.run([PLUGIN, *arguments], env=environment, text=True, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (("status",), "status --namespace=team-a"),
        (("status", "demo", "-o", "json"), "status demo -o json --namespace=team-a"),
        (("status", "-n", "ci"), "status -n ci"),
        (("status", "-A"), "status -A"),
        (("doctor",), "doctor --namespace=team-a --operator-namespace=buildkit-operator"),
        (("crds",), "crds"),
        ((), "--help"),
        (("status", "--help"), "status --help"),
    ],
)
def test_it_asks_the_operators_pod(calls: Path, arguments: tuple[str, ...], asked: str) -> None:
    done = run(calls, *arguments)

    assert done.returncode == 0, done.stderr
    assert calls.read_text().splitlines()[-1] == f"{EXEC} {asked}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--context", "mine", "status", "-A", "--kubeconfig", "a file"),
        ("status", "--context=mine", "-A", "--kubeconfig=a file"),
    ],
)
def test_the_cluster_is_chosen_as_with_kubectl(calls: Path, arguments: tuple[str, ...]) -> None:
    run(calls, *arguments)

    assert calls.read_text() == f"--context=mine --kubeconfig=a file {EXEC} status -A\n"


def test_an_operator_elsewhere_is_found_by_a_variable(calls: Path) -> None:
    run(calls, "doctor", "-A", BUILDKIT_OPERATOR_NAMESPACE="tools")

    assert "exec --namespace=tools " in calls.read_text()
    assert calls.read_text().endswith("doctor -A --operator-namespace=tools\n")


def test_an_option_without_its_value_is_refused(calls: Path) -> None:
    done = run(calls, "status", "--context")

    assert (done.returncode, done.stderr) == (2, "--context needs a value.\n")
    assert not calls.exists()
