"""Killed at any of its writes, the operator has a successor that makes of the rest what there would have been."""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from buildkit_operator.kube.resources import Manifest
from hack.cluster import artifacts
from hack.cluster.controlplane import ControlPlane
from tests.integration.builders.builder_operator import BuilderOperator
from tests.integration.builders.conftest import apply_policies
from tests.integration.builders.crash_proxy import Crash, CrashProxy
from tests.integration.builders.everything import Everything

BY_ISSUER: Final[Manifest] = {"tls": {"mode": "CertManager", "issuerRef": {"name": "builds"}}}
SHARED: Final[Manifest] = {
    "shared": {"autoscaling": {"minReplicas": 1, "maxReplicas": 3}},
    "cache": {"persistentVolumeClaim": {}, "size": "1Gi"},
}
WORKERS: Final = 256
"""Each builder that has crashed keeps one of them, until the process is killed."""
SECONDS: Final = 400
"""Until some 80 builders are given up: a few on an idle machine, minutes on one that is busy."""
STILL_SECONDS: Final = 3
FEWEST: Final = {"shared": 12, "pair": 14, "ordered": 12, "sidecar": 3}
"""Writes that a scenario takes at the least: else nothing would be tried here."""


@pytest.fixture
def everything(start_control_plane: Callable[..., ControlPlane]) -> Everything:
    control_plane = start_control_plane()
    folder: Path = artifacts.ensure("files:cert-manager")["files:cert-manager"]
    control_plane.apply_crds(folder / "cert-manager.io_certificates.yaml")
    apply_policies(control_plane)
    return Everything(control_plane, issues=True)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., BuilderOperator]]:
    """Return a function that starts an operator with a kubeconfig, which ends with the test."""
    started: list[BuilderOperator] = []

    def start_one(kubeconfig: Path, **settings: object) -> BuilderOperator:
        log = tmp_path / f"operator-{len(started)}.log"
        started.append(BuilderOperator(kubeconfig, log, **settings))
        return started[-1]

    yield start_one
    for operator in started:
        operator.kill()


def create(everything: Everything, scenario: str, name: str) -> list[str]:
    """Create the builders of a scenario, and return their namespaces, whose names begin with this one."""
    namespaces = [name] if scenario != "pair" else [name, f"{name}-consumer"]
    first, *others = [everything.create_namespace(namespace) for namespace in namespaces]
    match scenario:
        case "shared":
            first.create(**SHARED)
        case "ordered":
            first.create(shared=BY_ISSUER)
        case "sidecar":
            first.create(mode="Sidecar")
        case _:
            first.create(shared={"allowedNamespaces": {"names": namespaces[1:]}})
            others[0].create("team", shared={"from": {"namespace": name, "name": "demo"}})
    return namespaces


def test_a_successor_completes_whatever_a_crash_left(
    everything: Everything, start: Callable[..., BuilderOperator], tmp_path: Path
) -> None:
    crashes: dict[str, Crash] = {}
    with CrashProxy(everything.control_plane, crashes) as proxy:
        kubeconfig = proxy.write_kubeconfig(tmp_path / "kubeconfig")

        # Without a crash
        undisturbed: dict[str, list[str]] = {}
        for scenario in FEWEST:
            undisturbed[scenario] = create(everything, scenario, f"{scenario}-undisturbed")
            crashes |= dict.fromkeys(undisturbed[scenario], Crash(math.inf))
        operator = start(kubeconfig, workers=WORKERS)
        rest(everything)
        writes = {scenario: crashes[namespaces[0]].sent for scenario, namespaces in undisturbed.items()}
        assert {scenario for scenario, least in FEWEST.items() if writes[scenario] < least} == set(), writes

        # Killed at each write
        crashed: dict[str, tuple[str, list[str]]] = {}
        for scenario, count in writes.items():
            mine: list[Crash] = []
            for number in range(1, count + 1):
                name = f"{scenario}-{number:02}"
                mine.append(Crash(number))
                crashes |= dict.fromkeys([name, f"{name}-consumer"], mine[-1])
                crashed[name] = scenario, create(everything, scenario, name)
            everything.wait(f"crashes of {scenario}", partial(are_over, mine), SECONDS)
        operator.kill()

    successor = start(everything.control_plane.kubeconfig)
    successor.wait_ready()
    rest(everything)

    wanted = dict(zip(undisturbed, everything.snapshot(*undisturbed.values()), strict=True))
    found = everything.snapshot(*(namespaces for _, namespaces in crashed.values()))
    different = {
        (name, key): (objects.get(key), wanted[scenario].get(key))
        for (name, (scenario, _)), objects in zip(crashed.items(), found, strict=True)
        for key in objects.keys() | wanted[scenario].keys()
        if objects.get(key) != wanted[scenario].get(key)
    }
    assert different == {}
    print(f"{len(crashed)} crashes, of writes: {writes}")


def are_over(crashes: list[Crash]) -> bool:
    """Tell whether the operator has crashed everywhere, or will not: it need not write as often each time."""
    left = [crash for crash in crashes if not crash.is_over]
    before = [crash.sent for crash in left]
    time.sleep(STILL_SECONDS if left and all(before) else 0)
    return [crash.sent for crash in left] == before and all(before)


def rest(everything: Everything) -> None:
    """Wait until every builder is ready and nothing more is written."""
    everything.wait_ready(SECONDS)
    everything.wait_at_rest()
