"""`make run`: the operator of the checkout serves the cluster of the current context until it is told to stop."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hack.cluster.controlplane import ControlPlane
from hack.cluster.processes import dies_with_parent, free_port
from tests.integration.builders.builder_namespace import Builders
from tests.integration.service_process import ROOT, START_SECONDS

COMMAND = [sys.executable, "-m", "hack.run"]


@contextmanager
def running(kubeconfig: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {"KUBECONFIG": str(kubeconfig), "BUILDKIT_OPERATOR_HTTP_PORT": str(free_port())}
    with (
        log.open("w") as output,
        subprocess.Popen(
            dies_with_parent("KILL", COMMAND),
            env={**os.environ, **environment},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def without_crd() -> Iterator[ControlPlane]:
    """Start an API server that no other operator serves."""
    with ControlPlane() as control_plane:
        yield control_plane


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_applies_the_crd_reconciles_a_builder_and_ends_when_told(
    without_crd: ControlPlane, tmp_path: Path, stop: signal.Signals
) -> None:
    builders = Builders(without_crd, "default")
    log = tmp_path / "log"

    with running(without_crd.kubeconfig, log) as process:
        builders.wait("it says how to undo it", lambda: "kubectl delete -f crds" in log.read_text(), START_SECONDS)
        builders.create(stop.name.lower())
        deployment = f"{stop.name.lower()}-buildkitd"
        builders.wait("the builder is reconciled", lambda: builders.get("deployments", deployment), START_SECONDS)
        builders.wait("its log is text", lambda: " INFO " in log.read_text())
        process.send_signal(stop)

        assert process.wait(30) == 0
    assert without_crd.url in log.read_text()
    assert "buildkit" not in without_crd.kubectl("get", "leases", "--all-namespaces", "--output=name")


def test_a_cluster_elsewhere_is_left_alone_without_consent(control_plane: ControlPlane, tmp_path: Path) -> None:
    elsewhere = tmp_path / "kubeconfig"
    elsewhere.write_text(control_plane.kubeconfig.read_text().replace(control_plane.url, "https://cluster.example.com"))

    done = subprocess.run(
        COMMAND,
        env={**os.environ, "KUBECONFIG": str(elsewhere)},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        text=True,
        capture_output=True,
        check=False,
    )

    assert done.returncode == 1
    # Whatever it tried there first would end with another message: nothing answers at that address.
    assert "needs your consent" in done.stderr
    assert "https://cluster.example.com" in done.stderr
